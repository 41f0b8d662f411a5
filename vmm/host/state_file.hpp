// SPDX-License-Identifier: Apache-2.0
// StateFile: a small file in /run/gpuvm that outlives a crash, locked (flock(2)) while its owner
// lives: a lock, unlike a process number, cannot be stale.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

constexpr std::string_view kStateDirectory = "/run/gpuvm";
/// The last line of a whole file: one without it was cut short by a crash.
constexpr std::string_view kStateEnd = "end";

/// The folder's descriptor. It is made where it is not there, for its owner to write to, whatever
/// the umask. Errors: kHost: it cannot be made; it is no trusted one (vmm/base/trusted_folder.hpp),
/// or others may write there, with the sticky bit, too.
Result<UniqueFd> open_state_folder(const std::string& folder);

/// Whether this process may have files there.
bool may_write_state(const HostSystem& host);

/// Whether the process has "/run/gpuvm/NAME" open, which tells of an owner without a try to take
/// its lock from it. False, too, for another user's process without root.
bool is_state_open(const HostSystem& host, std::string_view name, long pid);

/// The file stays when the object goes, unless remove() was called.
class StateFile {
 public:
  /// "/run/gpuvm/0000:01:00.0SUFFIX"
  static std::string path(const Bdf& bdf, std::string_view suffix);
  /// Creates (or finds) and locks it. Errors: kHost; `busy` makes the one for a file that another
  /// process holds.
  static Result<StateFile> claim(const HostSystem& host, const Bdf& bdf, std::string_view suffix,
                                 const std::function<Error(const std::string& path)>& busy);
  /// The same for "/run/gpuvm/NAME".
  static Result<StateFile> claim(const HostSystem& host, std::string_view name,
                                 const std::function<Error(const std::string& path)>& busy);

  /// "/run/gpuvm/NAME" by the descriptor with which another process of gpuvm has claimed it, and
  /// with it the lock, which is the open file's. Errors: kHost: the descriptor is of another file,
  /// cannot be written to, or the lock is somebody else's.
  static Result<StateFile> adopt(const HostSystem& host, std::string_view name, UniqueFd fd);

  /// NAME.
  std::string name() const { return path_.substr(path_.find_last_of('/') + 1); }
  /// For adopt() elsewhere; nothing is to be called here afterwards.
  UniqueFd hand_over() { return std::move(fd_); }
  /// At most 32 KiB. Errors: kHost.
  Result<std::string> read() const;
  /// Replaces the text; a reader that comes between sees the new text, with the end of an older,
  /// longer one behind it. Errors: kHost.
  Status write(std::string_view text);
  void remove();

 private:
  StateFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  UniqueFd fd_;
  std::string path_;
};

}  // namespace gpuvm
