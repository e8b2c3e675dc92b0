//! Stubs for Ortolan, as tonic makes them from the .proto files; nothing is added.

/// The Open Inference Protocol V2: inference, metadata, the repository.
pub mod inference {
    tonic::include_proto!("inference");
}

/// `ProviderReflection`: where a model runs, and why there.
pub mod v1 {
    tonic::include_proto!("ortolan.v1");
}
