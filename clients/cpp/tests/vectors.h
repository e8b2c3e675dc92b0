// The test vectors that all clients share, and their tensors as messages.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "ortolan/inference/inference.pb.h"

namespace vectors {

using Json = nlohmann::json;

// The entries under `group` in the file that ORTOLAN_VECTORS names. Throws when there are none.
Json Group(const std::string& group);

// An environment variable that a run of the tests must have. Throws when it is not set.
std::string Setting(const std::string& name);

inference::ModelInferRequest Request(const std::string& model, const std::string& version, const Json& inputs);

// What came, in the terms of the file: name, datatype, shape and raw of each output.
Json Outputs(const inference::ModelInferResponse& answer);

// Those four of each tensor of the file; the values are for clients with typed tensors.
Json Raw(const Json& tensors);

// Name, datatype and shape of each.
Json Declared(const google::protobuf::RepeatedPtrField<inference::ModelMetadataResponse::TensorMetadata>& tensors);

}  // namespace vectors
