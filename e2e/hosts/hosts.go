// Package hosts has the programs through which tests log in: sshd, the SFTP
// server, FTP, IMAP, web and RADIUS servers, and a small application of libpam
// that a test leads step by step. Beside them are a mail server, a gateway for
// text messages and a proxy, by which codes are sent.
//
// The entry points are the functions Start…, which run the real program in the
// machine of the tests, on loopback. They promise that it is ready when they
// return, and gone when the test ends.
package hosts
