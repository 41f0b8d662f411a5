// SPDX-License-Identifier: Apache-2.0
// Share: a folder of the host that the guest mounts by its tag (virtiofs, VIRTIO 1.2, 5.11). The
// program virtiofsd serves it, one child for each, which sees nothing but that folder.
// Missing: a share without root (virtiofsd's own mount namespace needs it), DAX windows, several
// request queues.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "devices/virtio/vhost_user/client.hpp"
#include "vmm/config/config.hpp"
#include "vmm/helper/child_process.hpp"

namespace gpuvm {

class Share {
 public:
  /// Told once if virtiofsd ends by itself, on a thread of the child's. Must not wait.
  using OnLost = std::function<void(const std::string& tag, const Error& error)>;

  /// Whether a start could have it; starts nothing. Errors: kConfig (no such folder, a path that
  /// virtiofsd cannot be given), kHost (no virtiofsd).
  static Status check(const ShareConfig& config);
  /// What the user should know of a folder that check() takes; empty: nothing.
  static std::string warning_of(const ShareConfig& config);
  /// Errors: those of check(), and what virtiofsd says.
  static Result<std::unique_ptr<Share>> open(const ShareConfig& config, const HelperRules& rules,
                                             OnLost on_lost);
  ~Share();
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;

  const std::string& tag() const { return config_.tag; }
  vhost_user::Client& client() { return *client_; }
  /// Of virtiofsd's confinement by gpuvm; its own sandbox comes on top.
  const sandbox::Layers& layers() const { return child_->layers(); }

 private:
  Share(ShareConfig config, OnLost on_lost)
      : config_(std::move(config)), on_lost_(std::move(on_lost)) {}
  Status start(const HelperRules& rules);

  const ShareConfig config_;
  const OnLost on_lost_;
  std::atomic<bool> is_ending_{false};
  std::unique_ptr<ChildProcess> child_;
  std::unique_ptr<vhost_user::Client> client_;  ///< goes before the child, which it may end
};
using Shares = std::vector<std::unique_ptr<Share>>;

/// For all, with the entry's place in errors.
Status check_shares(const std::vector<ShareConfig>& configs);
Result<Shares> open_shares(const std::vector<ShareConfig>& configs, const HelperRules& rules,
                           const Share::OnLost& on_lost);

}  // namespace gpuvm
