// SPDX-License-Identifier: Apache-2.0
// vsock_echo serve PORT: takes one connection after the other, and answers with what it was sent.
// vsock_echo ask CID PORT: sends standard input, and prints the answer. It tries again for 30
// seconds while nobody listens there. For guest and host (AF_VSOCK, vsock(7)).
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kPatience = 30, kPieces = 65536 };

static int copy(int from, int to) {
  static char buffer[kPieces];
  ssize_t got = 0;
  while ((got = read(from, buffer, sizeof buffer)) > 0) {
    for (ssize_t done = 0; done < got;) {
      const ssize_t count = write(to, buffer + done, (size_t)(got - done));
      if (count <= 0) {
        return 1;
      }
      done += count;
    }
  }
  return got < 0;
}

static int serve(struct sockaddr_vm address) {
  const int listener = socket(AF_VSOCK, SOCK_STREAM, 0);
  if (bind(listener, (const struct sockaddr*)&address, sizeof address) != 0 ||
      listen(listener, 1) != 0) {
    perror("vsock_echo serve");
    return 1;
  }
  for (;;) {
    const int client = accept(listener, NULL, NULL);
    if (client >= 0) {
      copy(client, client);
      close(client);
    }
  }
}

/// The pieces are small enough for both buffers, so that writing first and reading then cannot get
/// stuck.
static int ask(struct sockaddr_vm address) {
  const time_t end = time(NULL) + kPatience;
  int server = socket(AF_VSOCK, SOCK_STREAM, 0);
  while (connect(server, (const struct sockaddr*)&address, sizeof address) != 0) {
    if (time(NULL) > end) {
      perror("vsock_echo ask");
      return 1;
    }
    close(server);
    usleep(100000);
    server = socket(AF_VSOCK, SOCK_STREAM, 0);
  }
  if (copy(STDIN_FILENO, server) != 0 || shutdown(server, SHUT_WR) != 0) {
    perror("vsock_echo ask");
    return 1;
  }
  return copy(server, STDOUT_FILENO);
}

int main(int argc, char** argv) {
  struct sockaddr_vm address;
  memset(&address, 0, sizeof address);
  address.svm_family = AF_VSOCK;
  if (argc == 3 && strcmp(argv[1], "serve") == 0) {
    address.svm_cid = VMADDR_CID_ANY;
    address.svm_port = (unsigned)strtoul(argv[2], NULL, 0);
    return serve(address);
  }
  if (argc == 4 && strcmp(argv[1], "ask") == 0) {
    address.svm_cid = (unsigned)strtoul(argv[2], NULL, 0);
    address.svm_port = (unsigned)strtoul(argv[3], NULL, 0);
    return ask(address);
  }
  return 64;
}
