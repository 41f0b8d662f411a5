// SPDX-License-Identifier: Apache-2.0
// RunningGuest: a small file for each guest that runs, by which `gpuvm ssh` finds it, and beside it
// the host keys that ssh has seen of the guest in this run. The file is locked (open file
// description lock, fcntl(2)) while its gpuvm lives: a lock, unlike a process number, cannot be
// stale. Readers take no lock, so that they are in nobody's way.
// Missing: guests of other users are not seen; a gpuvm that may write neither folder has no file.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

/// How to get in.
struct GuestRecord {
  std::string name;
  long pid = 0;
  std::string address = {};               ///< of the host, with a port that leads to the guest's 22
  std::uint16_t port = 0;                 ///< 0: none
  std::optional<std::uint32_t> cid = {};  ///< of its vsock
  std::string key = {};                   ///< path of a private key; empty: ssh knows itself
  std::string known_hosts = {};           ///< path; announce() sets it

  bool operator==(const GuestRecord&) const = default;
  std::string to_text() const;
  /// Of any text. Nothing: it is none, or cut short.
  static std::optional<GuestRecord> parse(std::string_view text);
};

/// Where this user's guests are announced: /run/gpuvm where it may write there, else
/// $XDG_RUNTIME_DIR/gpuvm; nothing where it has neither.
std::optional<std::string> guest_folder(const HostSystem& host);
/// Where a user may have guests: both, less one in which others could put what they like
/// (vmm/base/trusted_folder.hpp), of which a warning tells.
std::vector<std::string> guest_folders(const HostSystem& host);

/// When it goes, the files go.
class RunningGuest {
 public:
  /// Makes the folder, which must be a trusted one (vmm/base/trusted_folder.hpp). Errors: kHost;
  /// where a guest of this name is announced already, with its process.
  static Result<RunningGuest> announce(const std::string& folder, GuestRecord record);
  /// Removes what a killed guest of this name has left in the folder. One that runs keeps its
  /// files.
  static void forget_killed(const std::string& folder, const std::string& name);
  RunningGuest(RunningGuest&& other) noexcept;
  RunningGuest& operator=(RunningGuest&&) = delete;
  ~RunningGuest();

 private:
  RunningGuest(UniqueFd folder, UniqueFd fd, std::string name)
      : folder_(std::move(folder)), fd_(std::move(fd)), name_(std::move(name)) {}

  UniqueFd folder_;
  UniqueFd fd_;  ///< none after a move
  std::string name_;
};

/// Those that run now, by their names.
std::vector<GuestRecord> running_guests(std::span<const std::string> folders);

}  // namespace gpuvm
