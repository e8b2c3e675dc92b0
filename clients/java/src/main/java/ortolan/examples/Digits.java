package ortolan.examples;

import static java.util.concurrent.TimeUnit.SECONDS;

import com.google.protobuf.ByteString;
import inference.GRPCInferenceServiceGrpc;
import inference.Inference.ModelInferRequest;
import inference.Inference.ModelInferRequest.InferInputTensor;
import inference.Inference.ModelInferRequest.InferRequestedOutputTensor;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import ortolan.v1.ProviderReflectionGrpc;
import ortolan.v1.ProviderReflectionOuterClass.AssignmentSummary;
import ortolan.v1.ProviderReflectionOuterClass.ListAssignmentsRequest;

/** Reads a handwritten digit, and asks what it ran on. The argument is the server's address. */
public final class Digits {
  private static final long DEADLINE_S = 10;

  /** A seven: 8 × 8 pixels, 0 is white and 16 is black. */
  private static final float[] SEVEN = {
    0, 0, 7, 8, 13, 16, 15, 1,
    0, 0, 7, 7, 4, 11, 12, 0,
    0, 0, 0, 0, 8, 13, 1, 0,
    0, 4, 8, 8, 15, 15, 6, 0,
    0, 2, 11, 15, 15, 4, 0, 0,
    0, 0, 0, 16, 5, 0, 0, 0,
    0, 0, 9, 15, 1, 0, 0, 0,
    0, 0, 13, 5, 0, 0, 0, 0,
  };

  private Digits() {}

  public static void main(String[] arguments) throws InterruptedException {
    String address = arguments.length > 0 ? arguments[0] : "127.0.0.1:8001";
    ManagedChannel channel =
        Grpc.newChannelBuilder(address, InsecureChannelCredentials.create()).build();
    try {
      System.out.println("it is a " + read(channel, SEVEN));
      printAssignments(channel);
    } finally {
      channel.shutdown().awaitTermination(DEADLINE_S, SECONDS);
    }
  }

  private static long read(ManagedChannel channel, float[] pixels) {
    ByteBuffer raw =
        ByteBuffer.allocate(pixels.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    raw.asFloatBuffer().put(pixels);
    var request =
        ModelInferRequest.newBuilder()
            .setModelName("digits")
            .addInputs(
                InferInputTensor.newBuilder()
                    .setName("X")
                    .setDatatype("FP32")
                    .addShape(1)
                    .addShape(pixels.length))
            .addRawInputContents(ByteString.copyFrom(raw))
            .addOutputs(InferRequestedOutputTensor.newBuilder().setName("label"))
            .build();
    var answer =
        GRPCInferenceServiceGrpc.newBlockingStub(channel)
            .withDeadlineAfter(DEADLINE_S, SECONDS)
            .modelInfer(request);
    ByteBuffer label = answer.getRawOutputContents(0).asReadOnlyByteBuffer();
    return label.order(ByteOrder.LITTLE_ENDIAN).getLong();
  }

  private static void printAssignments(ManagedChannel channel) {
    var answer =
        ProviderReflectionGrpc.newBlockingStub(channel)
            .withDeadlineAfter(DEADLINE_S, SECONDS)
            .listAssignments(ListAssignmentsRequest.newBuilder().setModel("digits").build());
    for (AssignmentSummary row : answer.getAssignmentsList()) {
      System.out.printf(
          "%s/%s %s on %s%n",
          row.getModel(), row.getVersion(), row.getVerdict(), row.getServingProvider());
      row.getNodesMap()
          .forEach((provider, nodes) -> System.out.printf("  %d nodes on %s%n", nodes, provider));
    }
  }
}
