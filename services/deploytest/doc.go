// Package deploytest holds what is deployed to what the programs are: the
// reference of their settings, the Dockerfile, the compose file, the Kubernetes
// manifests, the smoke test. It takes files of the repository and gives test
// failures; it has no code of its own.
//
// It writes the reference of settings anew with
//
//	go test ./services/deploytest -update
package deploytest
