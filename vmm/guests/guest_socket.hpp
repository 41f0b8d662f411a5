// SPDX-License-Identifier: Apache-2.0
// The control sockets of guests: where they are, which there are, who has one, and what becomes of
// one whose gpuvm is gone.
//
// A socket is NAME.sock in the run folder, or anywhere (`[control] socket`). Beside it is
// NAME.sock.lock, which its gpuvm has locked (open file description lock, fcntl(2)) from before the
// socket is there until after it is gone. So a socket is dead where the lock is free: neither a
// guest that is just starting nor one that is too busy to answer is taken for dead.
// Missing: sockets outside the run folders are not listed.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// 1 to 64 of [a-z0-9-_.], the first one a letter or digit, as `name` in a configuration: "." would
/// be a folder, "-x" an option.
bool is_guest_name(std::string_view name);

/// Where the sockets of this user's guests are: /run/gpuvm where it may write there, else
/// $XDG_RUNTIME_DIR/gpuvm. "" where it has neither. May not exist yet.
std::string run_folder();
/// Where guests that this user may steer can be: both, less one in which others could put what they
/// like (vmm/base/trusted_folder.hpp), of which a warning tells.
std::vector<std::string> run_folders();

/// RUN_FOLDER/NAME.sock of a guest of this user; makes nothing. Errors: kConfig for what is no name
/// and for a path too long for a socket (107 bytes), kHost where there is no run folder.
Result<std::string> guest_socket_path(std::string_view name);

/// A guest's socket, whether somebody listens at it or not.
struct GuestSocket {
  std::string name;
  std::string path;

  bool operator==(const GuestSocket&) const = default;
};

/// The sockets in these folders, by name; at most 4096. A folder that is absent or may not be read
/// has none.
std::vector<GuestSocket> list_guest_sockets(std::span<const std::string> folders);

/// A connection, or the errno value of why there is none: ECONNREFUSED where nobody listens, ENOENT
/// where there is no socket, EACCES without the right, ETIMEDOUT where as many as can wait do,
/// ENAMETOOLONG.
struct GuestConnection {
  UniqueFd fd = {};
  int error = 0;
};
/// Blocks at most `limit`. The descriptor blocks.
GuestConnection connect_to_guest(const std::string& path, std::chrono::milliseconds limit);

/// The process that listens at the other end (SO_PEERCRED); 0: not known.
pid_t peer_process(const UniqueFd& connection);

/// Removes a socket that a gpuvm has left behind. False where it is not dead, or where this process
/// may not find out.
bool remove_dead_socket(const std::string& path);

/// Whether there can be a socket in the folder of this path: it is trusted and this user may write
/// there, or it can be made. Makes nothing. Errors: kHost.
Status check_socket_folder(const std::string& path);
/// Whether GuestSocketClaim::take() would get this path now, and listen() there; nothing is made or
/// locked. Errors: kHost.
Status check_socket_place(const std::string& path);

/// Who has this has the socket's name. When it goes, the socket and its lock go.
class GuestSocketClaim {
 public:
  /// Makes the folder, which must be a trusted one (vmm/base/trusted_folder.hpp), and removes a
  /// dead socket. Errors: kHost, where another process has the name, with its number, and where
  /// something that is no socket is there.
  static Result<GuestSocketClaim> take(const std::string& path);
  GuestSocketClaim(GuestSocketClaim&& other) noexcept;
  GuestSocketClaim& operator=(GuestSocketClaim&&) = delete;
  ~GuestSocketClaim();

  /// The socket, made and listening: its mode is 0600, or 0660 and of `group`; nobody can connect
  /// before it is. Close-on-exec, not blocking. Errors: kHost.
  Result<UniqueFd> listen(std::optional<gid_t> group = {}) const;
  const std::string& path() const { return path_; }

 private:
  GuestSocketClaim(UniqueFd folder, UniqueFd lock, std::string path)
      : folder_(std::move(folder)), lock_(std::move(lock)), path_(std::move(path)) {}
  Status set_rights(std::optional<gid_t> group) const;

  UniqueFd folder_;
  UniqueFd lock_;  ///< none after a move
  std::string path_;
};

}  // namespace gpuvm
