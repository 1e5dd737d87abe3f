// Command etcd is the etcd server as the project publishes it: its own main package
// cannot be installed by module path because the binary lives in a module with local replacements.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
