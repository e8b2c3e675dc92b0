package ortolan;

import com.google.gson.FieldNamingPolicy;
import com.google.gson.GsonBuilder;
import com.google.protobuf.ByteString;
import inference.Inference.ModelInferRequest;
import inference.Inference.ModelInferRequest.InferInputTensor;
import inference.Inference.ModelInferResponse;
import inference.Inference.ModelMetadataResponse.TensorMetadata;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/** clients/vectors.json as it is written. */
record Vectors(
    List<Inference> infer,
    List<Failure> failures,
    List<Stream> streams,
    List<Health> health,
    List<Ready> ready,
    List<Metadata> metadata,
    List<Assignment> assignments) {

  record Inference(
      String name, String model, String version, List<Tensor> inputs, List<Tensor> outputs) {}

  record Failure(
      String name,
      String rpc,
      String model,
      String version,
      List<Tensor> inputs,
      String code,
      String text) {}

  record Stream(String name, String model, List<Item> items) {}

  /** One of `outputs` and `error`; the other is null. */
  record Item(List<Tensor> inputs, List<Tensor> outputs, String error) {}

  /** One of `status` and `code`; the other is null. */
  record Health(String service, String status, String code) {}

  record Ready(String model, boolean ready) {}

  record Metadata(String model, List<Tensor> inputs, List<Tensor> outputs) {}

  record Assignment(
      String model,
      String version,
      String state,
      String verdict,
      String servingProvider,
      int servingRung,
      Map<String, Integer> nodes) {}

  /** `raw` is base64; null where only name, datatype and shape are declared. */
  record Tensor(String name, String datatype, List<Long> shape, String raw) {
    InferInputTensor described() {
      return InferInputTensor.newBuilder()
          .setName(name)
          .setDatatype(datatype)
          .addAllShape(shape)
          .build();
    }

    ByteString contents() {
      return ByteString.copyFrom(Base64.getDecoder().decode(raw));
    }
  }

  static Vectors read() throws IOException {
    String text = Files.readString(Path.of(setting("ORTOLAN_VECTORS")));
    return new GsonBuilder()
        .setFieldNamingPolicy(FieldNamingPolicy.LOWER_CASE_WITH_UNDERSCORES)
        .create()
        .fromJson(text, Vectors.class);
  }

  /** An environment variable that a run of the tests must have. */
  static String setting(String name) {
    String value = System.getenv(name);
    if (value == null) {
      throw new IllegalStateException(
          name + " is not set: `make test-clients` starts a server and sets it");
    }
    return value;
  }

  static ModelInferRequest request(String model, String version, List<Tensor> inputs) {
    return ModelInferRequest.newBuilder()
        .setModelName(model)
        .setModelVersion(version)
        .addAllInputs(inputs.stream().map(Tensor::described).toList())
        .addAllRawInputContents(inputs.stream().map(Tensor::contents).toList())
        .build();
  }

  /** What came, in the terms of the file. */
  static List<Tensor> outputs(ModelInferResponse answer) {
    return IntStream.range(0, answer.getOutputsCount())
        .mapToObj(
            place -> {
              var output = answer.getOutputs(place);
              byte[] raw = answer.getRawOutputContents(place).toByteArray();
              return new Tensor(
                  output.getName(),
                  output.getDatatype(),
                  output.getShapeList(),
                  Base64.getEncoder().encodeToString(raw));
            })
        .toList();
  }

  static List<Tensor> declared(List<TensorMetadata> tensors) {
    return tensors.stream()
        .map(one -> new Tensor(one.getName(), one.getDatatype(), one.getShapeList(), null))
        .toList();
  }
}
