//! The fuzz targets, shared with the tests that replay the corpora.

#[path = "../bgp-codec/tests/codec/targets.rs"]
mod targets;

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[doc = concat!("Runs the target `", stringify!($name), "`.")]
        pub fn $name(data: &[u8]) {
            targets::$name(data);
        })*
    };
}

targets! { message update open mrt text }
