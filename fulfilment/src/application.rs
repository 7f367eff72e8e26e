//! Taking the steps that sagas ask for, and watching their time.

pub mod provider;
