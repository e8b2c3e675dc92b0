#include "vectors.h"

#include <absl/strings/escaping.h>

#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <vector>

namespace vectors {
namespace {

std::string Bytes(const Json& base64) {
  std::string bytes;
  if (!absl::Base64Unescape(base64.get<std::string>(), &bytes))
    throw std::runtime_error("not base64: " + base64.dump());
  return bytes;
}

template <typename Tensor>
Json Described(const Tensor& tensor) {
  const std::vector<std::int64_t> shape(tensor.shape().begin(), tensor.shape().end());
  return {{"name", tensor.name()}, {"datatype", tensor.datatype()}, {"shape", shape}};
}

}  // namespace

Json Group(const std::string& group) {
  const std::string path = Setting("ORTOLAN_VECTORS");
  std::ifstream file(path);
  if (!file) throw std::runtime_error("ORTOLAN_VECTORS names no file: " + path);
  Json entries = Json::parse(file).at(group);
  if (entries.empty()) throw std::runtime_error("the file has no " + group);
  return entries;
}

std::string Setting(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) {
    throw std::runtime_error(name + " is not set: `make test-clients` starts a server and sets it");
  }
  return value;
}

inference::ModelInferRequest Request(const std::string& model, const std::string& version, const Json& inputs) {
  inference::ModelInferRequest request;
  request.set_model_name(model);
  request.set_model_version(version);
  for (const auto& tensor : inputs) {
    auto* input = request.add_inputs();
    input->set_name(tensor.at("name"));
    input->set_datatype(tensor.at("datatype"));
    for (const std::int64_t size : tensor.at("shape")) input->add_shape(size);
    request.add_raw_input_contents(Bytes(tensor.at("raw")));
  }
  return request;
}

Json Outputs(const inference::ModelInferResponse& answer) {
  if (answer.outputs_size() != answer.raw_output_contents_size()) throw std::runtime_error("an output is not raw");
  Json outputs = Json::array();
  for (int place = 0; place < answer.outputs_size(); ++place) {
    Json output = Described(answer.outputs(place));
    output["raw"] = absl::Base64Escape(answer.raw_output_contents(place));
    outputs.push_back(output);
  }
  return outputs;
}

Json Raw(const Json& tensors) {
  Json raw = tensors;
  for (auto& tensor : raw) tensor.erase("values");
  return raw;
}

Json Declared(const google::protobuf::RepeatedPtrField<inference::ModelMetadataResponse::TensorMetadata>& tensors) {
  Json declared = Json::array();
  for (const auto& tensor : tensors) declared.push_back(Described(tensor));
  return declared;
}

}  // namespace vectors
