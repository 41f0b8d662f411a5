// SPDX-License-Identifier: Apache-2.0
// ConsoleHub: one console of the guest for those who look at it by the control socket. All see what
// is printed, all may type. What is printed is taken at once, whatever the viewers do: it costs the
// thread that prints a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "vmm/base/mutex.hpp"

namespace boost::asio {
class io_context;
}

namespace gpuvm {

class ConsoleHub : public std::enable_shared_from_this<ConsoleHub> {
 public:
  /// What a new viewer sees of what was before.
  static constexpr std::size_t kTail = 16 * 1024;
  /// What may wait for the control thread; more is lost to viewers, which are told how much.
  static constexpr std::size_t kMostPending = 1024 * 1024;

  /// Takes what was typed and returns how many bytes fitted; after less than all, resume_input()
  /// must follow once there is room. Called on the control thread.
  using Input = std::function<std::size_t(std::span<const std::byte>)>;
  struct Viewer {
    std::function<void(std::span<const std::byte>)> output;
    std::function<void()> input_ready;  ///< type() may take more again
    /// So many bytes come to nobody, behind the last output(); may be empty.
    std::function<void(std::uint64_t)> missed = {};
  };

  /// `control` outlives this.
  ConsoleHub(boost::asio::io_context& control, Input input);

  // Any thread, with a lock held, too; these return at once.
  void write(std::span<const std::byte> bytes) GPUVM_EXCLUDES(mutex_);
  void resume_input();

  // Control thread.
  /// Sees the tail at once, and then everything. The calls end with detach().
  std::uint64_t attach(Viewer viewer) GPUVM_EXCLUDES(mutex_);
  void detach(std::uint64_t viewer) GPUVM_EXCLUDES(mutex_);
  std::size_t type(std::span<const std::byte> bytes) const;
  /// Gives the viewers what waits.
  void deliver() GPUVM_EXCLUDES(mutex_);
  std::size_t viewers() const { return viewers_.size(); }

 private:
  struct Waiting {
    std::string text = {};
    std::uint64_t missed = 0;  ///< bytes behind it
  };
  Waiting take_waiting() GPUVM_REQUIRES(mutex_);
  void show(const Waiting& waiting, std::uint64_t but_not = 0);

  boost::asio::io_context& control_;
  const Input input_;
  std::map<std::uint64_t, std::shared_ptr<const Viewer>> viewers_;
  std::uint64_t last_viewer_ = 0;

  Mutex mutex_;
  std::string tail_ GPUVM_GUARDED_BY(mutex_);          ///< up to twice as long as it is shown
  std::string pending_ GPUVM_GUARDED_BY(mutex_);       ///< for who looks already
  std::uint64_t missed_ GPUVM_GUARDED_BY(mutex_) = 0;  ///< bytes behind pending_
  bool is_watched_ GPUVM_GUARDED_BY(mutex_) = false;
  bool is_posted_ GPUVM_GUARDED_BY(mutex_) = false;
};

}  // namespace gpuvm
