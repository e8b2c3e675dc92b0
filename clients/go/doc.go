// Package ortolan is a client for Ortolan, a gRPC model server that proves where a model runs.
//
// It speaks the Open Inference Protocol V2, and so infers on other servers of that protocol too:
//
//	client, err := ortolan.New("127.0.0.1:8001")
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//
//	image := ortolan.NewTensor("X", []int64{1, 64}, pixels) // pixels is a []float32
//	answer, err := client.Infer(ctx, "digits", []ortolan.Tensor{image})
//	if err != nil {
//		return err
//	}
//	probabilities, err := ortolan.Output[float32](answer, "probabilities")
//
// Every call has a deadline: that of its context, or the client's own (see [WithTimeout]) where the context has none. Calls
// that meet no server, or one that is stopping, are tried again. Errors are statuses of gRPC, and one of the kinds that
// [Error] lists.
//
// The messages of all other calls are those of the packages inferencepb and ortolanpb, which are made to be read; for what
// this package has no method for, use their stubs on [Client.Conn].
package ortolan

//go:generate buf generate
