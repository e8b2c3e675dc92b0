package ortolan

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"google.golang.org/grpc/resolver"
)

// checkAddress fails for what is no address. gRPC takes anything, dials port 443 where there is none, and says what it
// could not reach only when a call has been tried for the last time.
func checkAddress(address string) error {
	scheme, _, _ := strings.Cut(address, ":")
	if resolver.Get(scheme) != nil {
		return nil
	}
	if scheme, _, has := strings.Cut(address, "://"); has && scheme != "http" && scheme != "https" {
		return nil // of a resolver that came by [WithDialOptions]
	}
	host, port, err := net.SplitHostPort(address)
	if err == nil && host != "" {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || host == "" {
		const wanted = "HOST:PORT, unix:PATH or a target of gRPC such as dns:///HOST:PORT"
		return fmt.Errorf("ortolan: an address is %s, not %q", wanted, address)
	}
	return nil
}
