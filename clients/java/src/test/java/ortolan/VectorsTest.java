package ortolan;

import static java.util.concurrent.TimeUnit.SECONDS;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import inference.GRPCInferenceServiceGrpc;
import inference.Inference.ModelInferRequest;
import inference.Inference.ModelMetadataRequest;
import inference.Inference.ModelReadyRequest;
import inference.Inference.ModelStreamInferResponse;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthGrpc;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.function.ThrowingConsumer;
import ortolan.v1.ProviderReflectionGrpc;
import ortolan.v1.ProviderReflectionOuterClass.GetAssignmentRequest;
import ortolan.v1.ProviderReflectionOuterClass.ListAssignmentsRequest;

/**
 * The test vectors that all clients share, against a live server. ORTOLAN_ADDRESS and
 * ORTOLAN_VECTORS name the two; `make test-clients` sets them.
 */
class VectorsTest {
  private static final long DEADLINE_S = 30;

  private static Vectors vectors;
  private static ManagedChannel channel;

  @BeforeAll
  static void connect() throws IOException {
    vectors = Vectors.read();
    String address = Vectors.setting("ORTOLAN_ADDRESS");
    channel = Grpc.newChannelBuilder(address, InsecureChannelCredentials.create()).build();
  }

  @AfterAll
  static void disconnect() throws InterruptedException {
    if (channel != null) {
      channel.shutdownNow().awaitTermination(DEADLINE_S, SECONDS);
    }
  }

  @TestFactory
  List<DynamicTest> inferencesAnswerAsTheVectorsSay() {
    return each(
        vectors.infer(),
        Vectors.Inference::name,
        vector -> {
          var asked = Vectors.request(vector.model(), vector.version(), vector.inputs());
          var answer = inference().modelInfer(asked);
          assertEquals(vector.outputs(), Vectors.outputs(answer));
        });
  }

  @TestFactory
  List<DynamicTest> failuresCarryTheirCodeAndText() {
    return each(
        vectors.failures(),
        Vectors.Failure::name,
        vector -> {
          var error = assertThrows(StatusRuntimeException.class, () -> call(vector));
          var status = error.getStatus();
          assertEquals(vector.code(), status.getCode().name(), status.getDescription());
          assertTrue(status.getDescription().contains(vector.text()), status.getDescription());
        });
  }

  private static void call(Vectors.Failure vector) {
    switch (vector.rpc()) {
      case "ModelInfer" ->
          inference()
              .modelInfer(Vectors.request(vector.model(), vector.version(), vector.inputs()));
      case "ModelMetadata" ->
          inference()
              .modelMetadata(
                  ModelMetadataRequest.newBuilder()
                      .setName(vector.model())
                      .setVersion(vector.version())
                      .build());
      case "ModelReady" ->
          inference()
              .modelReady(
                  ModelReadyRequest.newBuilder()
                      .setName(vector.model())
                      .setVersion(vector.version())
                      .build());
      case "GetAssignment" ->
          reflection()
              .getAssignment(
                  GetAssignmentRequest.newBuilder()
                      .setModel(vector.model())
                      .setVersion(vector.version())
                      .build());
      default -> throw new AssertionError("these tests do not call " + vector.rpc());
    }
  }

  @TestFactory
  List<DynamicTest> streamsAnswerInOrderAndCarryErrorsAsItems() {
    return each(
        vectors.streams(),
        Vectors.Stream::name,
        vector -> {
          var requests =
              vector.items().stream()
                  .map(item -> Vectors.request(vector.model(), "", item.inputs()))
                  .toList();
          var answers = stream(requests);
          assertEquals(vector.items().size(), answers.size());
          for (int number = 0; number < answers.size(); number++) {
            var item = vector.items().get(number);
            var answer = answers.get(number);
            String place = "item " + number + ": " + answer.getErrorMessage();
            if (item.error() != null) {
              assertTrue(answer.getErrorMessage().contains(item.error()), place);
            } else {
              assertEquals("", answer.getErrorMessage(), place);
              assertEquals(item.outputs(), Vectors.outputs(answer.getInferResponse()), place);
            }
          }
        });
  }

  private static List<ModelStreamInferResponse> stream(List<ModelInferRequest> requests)
      throws Exception {
    var answers = new ArrayList<ModelStreamInferResponse>();
    var ended = new CompletableFuture<Void>();
    var sender =
        GRPCInferenceServiceGrpc.newStub(channel)
            .withDeadlineAfter(DEADLINE_S, SECONDS)
            .modelStreamInfer(
                new StreamObserver<ModelStreamInferResponse>() {
                  @Override
                  public void onNext(ModelStreamInferResponse answer) {
                    answers.add(answer);
                  }

                  @Override
                  public void onError(Throwable error) {
                    ended.completeExceptionally(error);
                  }

                  @Override
                  public void onCompleted() {
                    ended.complete(null);
                  }
                });
    requests.forEach(sender::onNext);
    sender.onCompleted();
    ended.get();
    return answers;
  }

  @TestFactory
  List<DynamicTest> healthIsToldForEachService() {
    return each(
        vectors.health(),
        vector -> "service '" + vector.service() + "'",
        vector -> {
          var stub = HealthGrpc.newBlockingStub(channel).withDeadlineAfter(DEADLINE_S, SECONDS);
          var asked = HealthCheckRequest.newBuilder().setService(vector.service()).build();
          if (vector.code() != null) {
            var error = assertThrows(StatusRuntimeException.class, () -> stub.check(asked));
            assertEquals(vector.code(), error.getStatus().getCode().name());
          } else {
            assertEquals(vector.status(), stub.check(asked).getStatus().name());
          }
        });
  }

  @TestFactory
  List<DynamicTest> readinessIsToldForEachModel() {
    return each(
        vectors.ready(),
        Vectors.Ready::model,
        vector -> {
          var asked = ModelReadyRequest.newBuilder().setName(vector.model()).build();
          assertEquals(vector.ready(), inference().modelReady(asked).getReady());
        });
  }

  @TestFactory
  List<DynamicTest> metadataNamesTheTensors() {
    return each(
        vectors.metadata(),
        Vectors.Metadata::model,
        vector -> {
          var asked = ModelMetadataRequest.newBuilder().setName(vector.model()).build();
          var answer = inference().modelMetadata(asked);
          assertEquals(vector.inputs(), Vectors.declared(answer.getInputsList()));
          assertEquals(vector.outputs(), Vectors.declared(answer.getOutputsList()));
        });
  }

  @TestFactory
  List<DynamicTest> reflectionTellsWhereEachModelRuns() {
    return each(
        vectors.assignments(),
        Vectors.Assignment::model,
        vector -> {
          var asked = ListAssignmentsRequest.newBuilder().setModel(vector.model()).build();
          var rows = reflection().listAssignments(asked).getAssignmentsList();
          assertEquals(1, rows.size());
          var row = rows.get(0);
          var told =
              new Vectors.Assignment(
                  row.getModel(),
                  row.getVersion(),
                  row.getState(),
                  row.getVerdict().name(),
                  row.getServingProvider(),
                  row.getServingRung(),
                  row.getNodesMap());
          assertEquals(vector, told);
        });
  }

  private static GRPCInferenceServiceGrpc.GRPCInferenceServiceBlockingStub inference() {
    return GRPCInferenceServiceGrpc.newBlockingStub(channel).withDeadlineAfter(DEADLINE_S, SECONDS);
  }

  private static ProviderReflectionGrpc.ProviderReflectionBlockingStub reflection() {
    return ProviderReflectionGrpc.newBlockingStub(channel).withDeadlineAfter(DEADLINE_S, SECONDS);
  }

  private static <T> List<DynamicTest> each(
      List<T> vectors, Function<T, String> name, ThrowingConsumer<T> test) {
    assertTrue(!vectors.isEmpty(), "the file has no such vectors");
    return vectors.stream()
        .map(vector -> dynamicTest(name.apply(vector), () -> test.accept(vector)))
        .toList();
  }
}
