//! What the kernel should hold, interned: a prefix refers to its wanted route by number, so "nothing changed" is one compare.

use std::collections::HashMap;
use std::sync::Arc;

use super::interface::FibRoute;

/// Number of a wanted route; [`FibId::NONE`] for none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct FibId(u32);

impl FibId {
    pub(crate) const NONE: Self = Self(u32::MAX);
}

/// Distinct wanted routes with the number of prefixes that want them.
#[derive(Debug, Default)]
pub(crate) struct FibTable {
    numbers: HashMap<Arc<FibRoute>, u32, foldhash::fast::FixedState>,
    entries: Vec<(Option<Arc<FibRoute>>, u32)>,
    free: Vec<u32>,
}

impl FibTable {
    pub(crate) fn route(&self, id: FibId) -> Option<&Arc<FibRoute>> {
        self.entries
            .get(id.0 as usize)
            .and_then(|(route, _)| route.as_ref())
    }

    /// Makes `id` stand for `route`; whether that is a change.
    pub(crate) fn replace(&mut self, id: &mut FibId, route: Option<FibRoute>) -> bool {
        if self.route(*id).map(Arc::as_ref) == route.as_ref() {
            return false;
        }
        self.release(*id);
        *id = route.map_or(FibId::NONE, |route| self.acquire(route));
        true
    }

    fn acquire(&mut self, route: FibRoute) -> FibId {
        if let Some(number) = self.numbers.get(&route) {
            self.entries[*number as usize].1 += 1;
            return FibId(*number);
        }
        let route = Arc::new(route);
        let entry = (Some(Arc::clone(&route)), 1);
        let number = match self.free.pop() {
            Some(number) => {
                self.entries[number as usize] = entry;
                number
            }
            None => {
                self.entries.push(entry);
                u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 routes")
            }
        };
        self.numbers.insert(route, number);
        FibId(number)
    }

    fn release(&mut self, id: FibId) {
        let Some((route, uses)) = self.entries.get_mut(id.0 as usize) else {
            return;
        };
        *uses -= 1;
        if *uses == 0 {
            if let Some(route) = route.take() {
                self.numbers.remove(&route);
            }
            self.free.push(id.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_routes_share_a_number_and_unused_ones_go() {
        let route = |local_pref| {
            Some(FibRoute {
                next_hops: smallvec::smallvec![],
                local_pref,
                external: true,
                blackhole: false,
                table: crate::route::TableId::UNSPECIFIED,
            })
        };
        let mut table = FibTable::default();
        let (mut one, mut two) = (FibId::NONE, FibId::NONE);
        assert!(table.replace(&mut one, route(100)) && table.replace(&mut two, route(100)));
        assert!(!table.replace(&mut one, route(100)));
        assert_eq!(one, two);
        assert!(table.replace(&mut one, route(200)));
        assert_eq!(table.route(two).map(|route| route.local_pref), Some(100));
        assert!(table.replace(&mut two, None) && table.numbers.len() == 1);
        assert!(!table.replace(&mut two, None));
    }
}
