package ortolan

import (
	"context"
	"io"
	"iter"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"ortolan.example/ortolan/inferencepb"
	"ortolan.example/ortolan/ortolanpb"
)

// ServerReady says whether every required model serves.
func (c *Client) ServerReady(ctx context.Context) (bool, error) {
	response, err := call(ctx, c, c.inference.ServerReady, &inferencepb.ServerReadyRequest{}, "")
	return response.GetReady(), err
}

// ModelReady says whether a model serves; an empty version is the one that serves by default, here and below. It fails with
// [ErrNotFound] for a model that the server does not know.
func (c *Client) ModelReady(ctx context.Context, model, version string) (bool, error) {
	request := &inferencepb.ModelReadyRequest{Name: model, Version: version}
	response, err := call(ctx, c, c.inference.ModelReady, request, model)
	return response.GetReady(), err
}

// Metadata says which tensors a model takes and gives; its properties are the short form of where it runs.
func (c *Client) Metadata(ctx context.Context, model, version string) (*inferencepb.ModelMetadataResponse, error) {
	request := &inferencepb.ModelMetadataRequest{Name: model, Version: version}
	return call(ctx, c, c.inference.ModelMetadata, request, model)
}

// Health is what grpc.health.v1 says: of the server (""), of "MODEL" and "MODEL/VERSION" whether they serve, and of
// "MODEL#contract" whether the contract is kept. It fails with [ErrNotFound] for a service that the server does not know.
func (c *Client) Health(ctx context.Context, service string) (healthpb.HealthCheckResponse_ServingStatus, error) {
	response, err := call(ctx, c, c.health.Check, &healthpb.HealthCheckRequest{Service: service}, "")
	return response.GetStatus(), err
}

// Server has the versions, the host and the limits of the server.
func (c *Client) Server(ctx context.Context) (*ortolanpb.GetServerResponse, error) {
	return call(ctx, c, c.reflection.GetServer, &ortolanpb.GetServerRequest{}, "")
}

// Providers are the provider families by their short names, or all: available on the server or not, and why.
func (c *Client) Providers(ctx context.Context, names ...string) ([]*ortolanpb.Provider, error) {
	response, err := call(ctx, c, c.reflection.ListProviders, &ortolanpb.ListProvidersRequest{Names: names}, "")
	return response.GetProviders(), err
}

// Assignments has a line for each version of a model that serves or failed; of all models where the name is empty.
func (c *Client) Assignments(ctx context.Context, model string) ([]*ortolanpb.AssignmentSummary, error) {
	request := &ortolanpb.ListAssignmentsRequest{Model: model}
	response, err := call(ctx, c, c.reflection.ListAssignments, request, model)
	return response.GetAssignments(), err
}

// Assignment is all that is known of one version: requested chain, attempts, nodes, verdict.
func (c *Client) Assignment(ctx context.Context, model, version string) (*ortolanpb.Assignment, error) {
	request := &ortolanpb.GetAssignmentRequest{Model: model, Version: version}
	response, err := call(ctx, c, c.reflection.GetAssignment, request, model)
	return response.GetAssignment(), err
}

// Watch gives first the present state of each version of a model (of all models where the name is empty), then every change,
// until the loop is left or ctx ends. An error is the last thing that comes.
//
// It is the one call that gets no deadline of its own: it is there to wait. A server that hangs is found out by pings.
func (c *Client) Watch(ctx context.Context, model string) iter.Seq2[*ortolanpb.AssignmentSummary, error] {
	return func(yield func(*ortolanpb.AssignmentSummary, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := c.reflection.WatchAssignments(ctx, &ortolanpb.WatchAssignmentsRequest{Model: model})
		for err == nil {
			var message *ortolanpb.WatchAssignmentsResponse
			if message, err = stream.Recv(); err == nil && !yield(message.Assignment, nil) {
				return
			}
		}
		if err != io.EOF {
			yield(nil, asError(err, model))
		}
	}
}
