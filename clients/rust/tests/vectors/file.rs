//! clients/vectors.json as it is written.

use std::collections::HashMap;
use std::env;
use std::fs;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ortolan::inference::ModelInferRequest;
use ortolan::inference::ModelInferResponse;
use ortolan::inference::model_infer_request::InferInputTensor;
use ortolan::inference::model_metadata_response::TensorMetadata;
use serde::{Deserialize, Deserializer, de};

#[derive(Deserialize)]
pub struct Vectors {
    pub infer: Vec<Inference>,
    pub failures: Vec<Failure>,
    pub streams: Vec<Stream>,
    pub health: Vec<Health>,
    pub ready: Vec<Ready>,
    pub metadata: Vec<Metadata>,
    pub assignments: Vec<Assignment>,
}

#[derive(Deserialize)]
pub struct Inference {
    pub name: String,
    pub model: String,
    pub version: String,
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Tensor>,
}

#[derive(Deserialize)]
pub struct Failure {
    pub name: String,
    pub rpc: String,
    pub model: String,
    pub version: String,
    pub inputs: Vec<Tensor>,
    pub code: String,
    pub text: String,
}

#[derive(Deserialize)]
pub struct Stream {
    pub name: String,
    pub model: String,
    pub items: Vec<Item>,
}

#[derive(Deserialize)]
pub struct Item {
    pub inputs: Vec<Tensor>,
    #[serde(flatten)]
    pub answer: Answer,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    Outputs(Vec<Tensor>),
    Error(String),
}

#[derive(Deserialize)]
pub struct Health {
    pub service: String,
    #[serde(flatten)]
    pub answer: HealthAnswer,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthAnswer {
    Status(String),
    Code(String),
}

#[derive(Deserialize)]
pub struct Ready {
    pub model: String,
    pub ready: bool,
}

#[derive(Deserialize)]
pub struct Metadata {
    pub model: String,
    pub inputs: Vec<Declared>,
    pub outputs: Vec<Declared>,
}

#[derive(Deserialize)]
pub struct Declared {
    name: String,
    datatype: String,
    shape: Vec<i64>,
}

#[derive(Deserialize)]
pub struct Assignment {
    pub model: String,
    pub version: String,
    pub state: String,
    pub verdict: String,
    pub serving_provider: String,
    pub serving_rung: i32,
    pub nodes: HashMap<String, i32>,
}

#[derive(Deserialize, Debug, PartialEq)]
pub struct Tensor {
    name: String,
    datatype: String,
    shape: Vec<i64>,
    #[serde(deserialize_with = "base64_bytes")]
    raw: Vec<u8>,
}

impl Vectors {
    /// Panics where ORTOLAN_VECTORS does not name the file.
    pub fn read() -> Self {
        let text = fs::read_to_string(setting("ORTOLAN_VECTORS")).expect("ORTOLAN_VECTORS names a file");
        serde_json::from_str(&text).expect("the vectors have the shape that is written here")
    }
}

/// An environment variable that a run of the tests must have.
pub fn setting(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: `make test-clients` starts a server and sets it"))
}

pub fn request(model: &str, version: &str, inputs: &[Tensor]) -> ModelInferRequest {
    ModelInferRequest {
        model_name: model.to_owned(),
        model_version: version.to_owned(),
        inputs: inputs.iter().map(Tensor::described).collect(),
        raw_input_contents: inputs.iter().map(|tensor| tensor.raw.clone()).collect(),
        ..Default::default()
    }
}

/// What came, in the terms of the file.
pub fn outputs(answer: ModelInferResponse) -> Vec<Tensor> {
    assert_eq!(answer.outputs.len(), answer.raw_output_contents.len());
    let both = answer.outputs.into_iter().zip(answer.raw_output_contents);
    both.map(|(output, raw)| Tensor { name: output.name, datatype: output.datatype, shape: output.shape, raw })
        .collect()
}

pub fn declared(tensors: Vec<Declared>) -> Vec<TensorMetadata> {
    let message =
        |tensor: Declared| TensorMetadata { name: tensor.name, datatype: tensor.datatype, shape: tensor.shape };
    tensors.into_iter().map(message).collect()
}

impl Tensor {
    fn described(&self) -> InferInputTensor {
        InferInputTensor {
            name: self.name.clone(),
            datatype: self.datatype.clone(),
            shape: self.shape.clone(),
            ..Default::default()
        }
    }
}

fn base64_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    BASE64_STANDARD.decode(String::deserialize(deserializer)?).map_err(de::Error::custom)
}
