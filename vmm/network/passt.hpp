// SPDX-License-Identifier: Apache-2.0
// Passt: the program passt(1), which carries the frames of one guest as the host's own connections,
// without privileges. It puts itself into the background when it is ready, into a sandbox of its
// own, and goes when its socket is closed, so that it survives no gpuvm, also a killed one. It is
// no root even before (vmm/helper/helper_profile.hpp). Missing: its vhost-user mode, IPv6 addresses
// of its own choice.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/helper/helper_profile.hpp"
#include "vmm/sandbox/confine.hpp"

namespace gpuvm {

class Passt {
 public:
  struct Forward {
    bool udp = false;
    std::string address = {};  ///< of the host; empty: all
    std::uint16_t host = 0;
    std::uint16_t guest = 0;
  };
  struct Options {
    std::vector<Forward> forward = {};
    std::optional<std::uint16_t> mtu = {};  ///< that the guest is told of by DHCP
    bool host_loopback = false;  ///< the gateway's address leads to the host's 127.0.0.1 and ::1
    std::vector<std::string> name_servers = {};  ///< empty: those of /etc/resolv.conf
    /// A path, or a name that is looked for: in PATH, but not as root, then in the usual folders.
    std::string program = "passt";
    /// What it is confined to; null: nothing, for scripts in its place.
    const HelperProfile* profile = &passt_profile();
    std::string user = {};  ///< whom it becomes, where gpuvm is root; empty: helper_user()
  };

  /// Looks, and starts nothing. Errors: kHost: passt is not installed, a port is in use.
  static Status check(const Options& options);
  /// Returns when it is ready, at most 10 s later. Errors: those of check(), and what passt says.
  static Result<std::unique_ptr<Passt>> start(const Options& options);
  /// Closes its socket and waits until it is gone, at most 2 s. The socket's taker has closed its
  /// own before.
  ~Passt();
  Passt(const Passt&) = delete;
  Passt& operator=(const Passt&) = delete;

  /// Another descriptor of its socket: SOCK_STREAM, with frames behind their lengths. It is at its
  /// end when passt is gone. Errors: kHost.
  Result<UniqueFd> socket() const;
  /// Of its confinement by gpuvm; what it does to itself comes on top.
  const sandbox::Layers& layers() const { return layers_; }

 private:
  Passt(UniqueFd socket, sandbox::Layers layers)
      : socket_(std::move(socket)), layers_(std::move(layers)) {}
  UniqueFd socket_;
  const sandbox::Layers layers_;
};

}  // namespace gpuvm
