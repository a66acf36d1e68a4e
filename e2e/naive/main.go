// Command naive is what otpgate's module is not: a PAM module that is one Go
// shared object. It does next to nothing, and hangs in sshd: libpam loads it
// in pam_start, sshd forks after that, and the Go runtime's threads stay
// behind in the parent. A test keeps that proof.
package main

/*
#cgo LDFLAGS: -lpam
#include <security/_pam_types.h>
*/
import "C"

import "runtime"

//export pam_sm_authenticate
func pam_sm_authenticate(pamh *C.pam_handle_t, flags, argc C.int, argv **C.char) C.int {
	done := make(chan bool)
	go func() {
		runtime.GC()
		done <- true
	}()
	<-done
	return C.PAM_SUCCESS
}

//export pam_sm_setcred
func pam_sm_setcred(pamh *C.pam_handle_t, flags, argc C.int, argv **C.char) C.int {
	return C.PAM_SUCCESS
}

func main() {}
