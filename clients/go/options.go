package ortolan

import (
	"context"
	"crypto/tls"
	"errors"
	"math"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// DefaultTimeout is the deadline of calls whose context has none.
const DefaultTimeout = time.Minute

// Calls that met no server, or one that is stopping, go to the next address after a moment. Every call may be made twice:
// an inference changes nothing, and a model that is loaded again is the same model.
const serviceConfig = `{
  "loadBalancingConfig": [{"round_robin": {}}],
  "methodConfig": [{
    "name": [
      {"service": "inference.GRPCInferenceService"},
      {"service": "ortolan.v1.ProviderReflection"},
      {"service": "grpc.health.v1.Health"}
    ],
    "retryPolicy": {
      "maxAttempts": 4,
      "initialBackoff": "0.1s",
      "maxBackoff": "1s",
      "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }]
}`

// A server that hangs keeps its connection open: only pings find it out.
var pings = keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 2 * time.Second}

// Option changes how a client connects or calls.
type Option func(*settings) error

type settings struct {
	timeout         time.Duration
	maxMessageBytes int
	transport       credentials.TransportCredentials
	more            []grpc.DialOption
}

func defaults() settings {
	return settings{timeout: DefaultTimeout, maxMessageBytes: math.MaxInt32, transport: insecure.NewCredentials()}
}

func (s *settings) dialOptions() []grpc.DialOption {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(s.transport),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithKeepaliveParams(pings),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(s.maxMessageBytes),
			grpc.MaxCallSendMsgSize(s.maxMessageBytes),
		),
	}
	return append(options, s.more...)
}

// WithTimeout sets the deadline of calls whose context has none, [DefaultTimeout] otherwise.
func WithTimeout(timeout time.Duration) Option {
	return func(s *settings) error {
		s.timeout = timeout
		return nil
	}
}

// WithTLS encrypts the connection. Without it what is sent can be read on the way.
func WithTLS(config *tls.Config) Option {
	return func(s *settings) error {
		s.transport = credentials.NewTLS(config)
		return nil
	}
}

// WithToken sends a token with every call, for a server that wants one (ortolan serve --auth-tokens). Without [WithTLS]
// whoever is between can read it.
func WithToken(token string) Option {
	return func(s *settings) error {
		if token == "" || strings.ContainsFunc(token, func(letter rune) bool { return letter < '!' || letter > '~' }) {
			return errors.New("ortolan: a token is printable ASCII without blanks or line ends") // and is not shown
		}
		s.more = append(s.more, grpc.WithPerRPCCredentials(bearer(token)))
		return nil
	}
}

// WithMaxMessageBytes bounds messages both ways on this side. By default the server's limit decides.
func WithMaxMessageBytes(bytes int) Option {
	return func(s *settings) error {
		s.maxMessageBytes = bytes
		return nil
	}
}

// WithDialOptions hands options to gRPC, after the client's own.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) error {
		s.more = append(s.more, options...)
		return nil
	}
}

type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (b bearer) RequireTransportSecurity() bool {
	return false
}
