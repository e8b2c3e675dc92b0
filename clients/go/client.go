package ortolan

import (
	"context"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"ortolan.example/ortolan/inferencepb"
	"ortolan.example/ortolan/ortolanpb"
)

// Client is a connection to a server, made at the first call. Goroutines may share it.
type Client struct {
	conn       *grpc.ClientConn
	timeout    time.Duration
	retryBytes int
	inference  inferencepb.GRPCInferenceServiceClient
	reflection ortolanpb.ProviderReflectionClient
	health     healthpb.HealthClient
}

// New returns a client of the server at that address: HOST:PORT, unix:PATH, or any other target of gRPC. Where a name has
// several addresses, calls go to them in turn.
//
// It connects at the first call, and so fails only for what is no address or no option.
func New(address string, options ...Option) (*Client, error) {
	if err := checkAddress(address); err != nil {
		return nil, err
	}
	chosen := defaults()
	for _, option := range options {
		if err := option(&chosen); err != nil {
			return nil, err
		}
	}
	conn, err := grpc.NewClient(address, chosen.dialOptions()...)
	if err != nil {
		return nil, err
	}
	return &Client{
		conn:       conn,
		timeout:    chosen.timeout,
		retryBytes: chosen.maxMessageBytes,
		inference:  inferencepb.NewGRPCInferenceServiceClient(conn),
		reflection: ortolanpb.NewProviderReflectionClient(conn),
		health:     healthpb.NewHealthClient(conn),
	}, nil
}

// Close closes the connection; calls that are under way end with [ErrCancelled].
func (c *Client) Close() error {
	return c.conn.Close()
}

// Conn is the connection itself, for stubs of any service. What is called through it has the client's retries, but neither
// its deadline nor its errors.
func (c *Client) Conn() *grpc.ClientConn {
	return c.conn
}

// withDeadline is ctx with a deadline; the function that is returned lets go of it.
func (c *Client) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.timeout)
}

// call makes one call with one answer. The model is named in its error; it is empty where the call is about none.
func call[Request, Answer any](
	ctx context.Context,
	c *Client,
	method func(context.Context, *Request, ...grpc.CallOption) (*Answer, error),
	request *Request,
	model string,
) (*Answer, error) {
	ctx, cancel := c.withDeadline(ctx)
	defer cancel()
	// By default gRPC forgets requests over 256 KiB once they are sent, and then cannot send them again.
	answer, err := method(ctx, request, grpc.MaxRetryRPCBufferSize(c.retryBytes))
	if err != nil {
		return nil, asError(err, model)
	}
	return answer, nil
}
