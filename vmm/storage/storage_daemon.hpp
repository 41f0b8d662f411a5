// SPDX-License-Identifier: Apache-2.0
// StorageDaemon: qemu-storage-daemon(1), which serves one disk of a guest as a vhost-user-blk
// back-end: images of other formats than raw, and disks whose writes are thrown away. It gets the
// image's files as descriptors, a socket, and the access to guest memory; it names no path, and it
// is confined to these (vmm/helper/helper_profile.hpp). Missing: serial numbers, which its
// version 7.2 does not take.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/unique_fd.hpp"
#include "vmm/helper/child_process.hpp"
#include "vmm/storage/image_chain.hpp"
#include "vmm/storage/overlay.hpp"

namespace gpuvm {

class StorageDaemon {
 public:
  struct Options {
    std::string path;  ///< of the image
    ImageFormat format = ImageFormat::kQcow2;
    bool read_only = false;
    bool throwaway = false;  ///< writes go to a file without a name; not read_only
    bool direct = false;     ///< past the host's page cache
    bool no_flush = false;   ///< flushes are only answered
    bool discard = true;
    unsigned queues = 1;
    std::uint64_t iops = 0;       ///< at most, a second; 0: no limit
    std::uint64_t bandwidth = 0;  ///< bytes a second; 0: no limit
    /// Told if it ends by itself, on a thread of its own. May be empty.
    std::function<void(const Error&)> on_end = {};
    std::string program = "qemu-storage-daemon";
    /// How far the file of a throwaway disk may grow now; tests do not depend on the host's room.
    std::function<Result<OverlayLimit>(int file, std::uint64_t most)> limit =
        static_cast<Result<OverlayLimit> (*)(int, std::uint64_t)>(overlay_limit);
    /// What it is confined to; null: nothing, for scripts in its place.
    const HelperProfile* profile = &storage_daemon_profile();
    std::string user = {};  ///< whom it becomes, where gpuvm is root; empty: helper_user()
  };

  /// Whether it could be started; starts nothing. Errors: kHost: the program is missing; kConfig:
  /// what is wrong with the image.
  static Status check(const Options& options);
  /// Errors: those of check(). Whether the program likes the image is known by who uses socket().
  static Result<std::unique_ptr<StorageDaemon>> start(const Options& options);

  /// Our end of the vhost-user connection, once.
  UniqueFd take_socket() { return std::move(socket_); }
  /// For who finds that it does not serve: with what it printed when it has ended.
  Error explain(Error error);
  /// How it has ended; nothing: it has not.
  std::optional<Error> end() { return child_->wait_for_end({}); }
  /// Ends one that does not do what it should. Any thread.
  void kill() { child_->kill(); }
  pid_t pid() const { return child_->pid(); }
  /// Of its confinement.
  const sandbox::Layers& layers() const { return child_->layers(); }

 private:
  explicit StorageDaemon(UniqueFd socket) : socket_(std::move(socket)) {}
  UniqueFd socket_;
  std::unique_ptr<ChildProcess> child_;
};

/// Its arguments, for tests: `layers` have the descriptors 4 and so on, in this order, the overlay
/// first where there is one.
std::vector<std::string> storage_daemon_arguments(const StorageDaemon::Options& options,
                                                  const std::vector<ImageLayer>& layers);

}  // namespace gpuvm
