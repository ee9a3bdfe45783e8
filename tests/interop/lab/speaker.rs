//! What every BGP daemon can be asked and told, whichever it is.

/// A BGP daemon under a scenario's control.
///
/// Questions answer `Err` with what the daemon said, so that [`super::await_until`] can ask again and show the last.
pub(crate) trait Speaker {
    /// The daemon's name, for messages.
    fn name(&self) -> &str;

    /// `Ok` when the session with the peer of this address is Established.
    fn established(&self, peer: &str) -> Result<(), String>;

    /// The BGP next hops of a prefix learned from peers, as the daemon reports them; empty when it has none.
    fn next_hops(&self, prefix: &str) -> Result<Vec<String>, String>;

    /// Originates a prefix with this next hop (daemons that insist on their own address ignore it).
    fn announce(&mut self, prefix: &str, next_hop: &str);

    /// Takes back what [`Speaker::announce`] originated.
    fn withdraw(&mut self, prefix: &str);

    /// Ends the daemon as a crash would and starts it again; what was announced at run time is gone then.
    fn restart(&mut self);

    /// `Ok` when the prefix is known with exactly this next hop.
    fn has(&self, prefix: &str, next_hop: &str) -> Result<(), String> {
        let next_hops = self.next_hops(prefix)?;
        if next_hops == [next_hop] {
            Ok(())
        } else {
            Err(format!("{}: next hops of {prefix}: {next_hops:?}", self.name()))
        }
    }

    /// `Ok` when the prefix is not known.
    fn lacks(&self, prefix: &str) -> Result<(), String> {
        let next_hops = self.next_hops(prefix)?;
        if next_hops.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "{}: {prefix} is still there via {next_hops:?}",
                self.name()
            ))
        }
    }
}
