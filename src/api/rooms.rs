//! What is under `/v1`, in one place for the application and for the document.
use crate::http::Api;
use crate::registers::REGISTERS;
use crate::{identity, insight};

/// Mounts and describes what is under `/v1`.
pub fn rooms(mut api: Api<'_>) {
    REGISTERS.iter().for_each(|room| room.mount(&mut api));
    insight::mount(&mut api);
    identity::mount(&mut api);
    api.close();
}
