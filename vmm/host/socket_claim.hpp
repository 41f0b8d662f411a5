// SPDX-License-Identifier: Apache-2.0
// SocketClaim: one monitor per vfio-user server, by a locked file in /run/gpuvm that names who has
// it. A server serves one client; a second one would wait and never be told why. There is no dirty
// mark as for a function of the host (device_claim.hpp): no host driver is waiting for it, every
// guest starts with its reset and check, and after a crash the next server at this path may be
// another device. Missing: without the right to write /run/gpuvm there is no lock.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/state_file.hpp"

namespace gpuvm {

/// When it goes, the file goes.
class SocketClaim {
 public:
  /// `socket`: a path; the same file by another name is the same server. One that is not there is
  /// nobody's: who connects to it finds that out. Errors: kHost; where another process has the
  /// server, with its name and number.
  static Result<SocketClaim> take(const HostSystem& host, const std::string& socket,
                                  std::string_view owner);
  SocketClaim(SocketClaim&& other) noexcept;
  /// Its file, for StateFile::adopt() in another process; nothing where it has none.
  std::optional<StateFile> hand_over();
  SocketClaim& operator=(SocketClaim&&) = delete;
  ~SocketClaim();

 private:
  explicit SocketClaim(std::optional<StateFile> file) : file_(std::move(file)) {}

  std::optional<StateFile> file_;  ///< absent where there is nothing to lock, and after a move
};

}  // namespace gpuvm
