// A step-ca server as its own command starts it, without the subcommands: step-ca CONFIGURATION.
package main

import (
	"fmt"
	"net/http"
	"os"

	"github.com/smallstep/certificates/authority/config"
	"github.com/smallstep/certificates/ca"
)

func main() {
	if err := serve(os.Args[1]); err != nil && err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(file string) error {
	configuration, err := config.LoadConfiguration(file)
	if err != nil {
		return err
	}
	server, err := ca.New(configuration, ca.WithConfigFile(file), ca.WithQuiet(true))
	if err != nil {
		return err
	}
	return server.Run()
}
