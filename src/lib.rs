//! Stonechat.
