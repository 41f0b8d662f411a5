// SPDX-License-Identifier: Apache-2.0
// Member: a guest of a pool, in the process that runs it. Its lease is one end of a pair of
// sockets: whoever has the other one, first the pool and then who took the guest, is told what it
// does and says what it is to do; when that end is closed, by kill -9 of its owner, too, the guest
// ends.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "vmm/base/event_fd.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/config/config.hpp"
#include "vmm/machine/run/run.hpp"
#include "vmm/pool/pool_wire.hpp"

namespace gpuvm::pool {

class Member {
 public:
  /// `lease`: not blocking. Errors: kHost: no more threads.
  static Result<std::unique_ptr<Member>> start(UniqueFd lease);
  ~Member();
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  /// Adds what this wants to hear. The run must end before this does.
  void listen(RunOptions& run);
  /// Tells who has the lease. Any thread; never waits long.
  void say(const MemberWord& word) const;

 private:
  Member(UniqueFd lease, EventFd stop) : lease_(std::move(lease)), stop_(std::move(stop)) {}
  void run() GPUVM_EXCLUDES(mutex_);
  void obey(const LeaseWord& word) GPUVM_EXCLUDES(mutex_);
  void end_guest() GPUVM_EXCLUDES(mutex_);
  void event(const GuestEvent& event) GPUVM_EXCLUDES(mutex_);
  void begun(const Status& status) GPUVM_EXCLUDES(mutex_);

  const UniqueFd lease_;
  const EventFd stop_;
  LineReceiver lines_{LineReceiver::Descriptors::kNobody};  ///< of the thread
  Mutex mutex_;
  GuestControl* control_ GPUVM_GUARDED_BY(mutex_) = nullptr;  ///< while there is one
  BeginAnew begin_anew_ GPUVM_GUARDED_BY(mutex_);
  bool has_waited_ GPUVM_GUARDED_BY(mutex_) = false;   ///< it has said that it waits
  bool is_waiting_ GPUVM_GUARDED_BY(mutex_) = false;   ///< and nobody has had it go on
  bool is_unwanted_ GPUVM_GUARDED_BY(mutex_) = false;  ///< nobody has its lease
  std::thread thread_;                                 ///< last: it uses what is above
};

struct MemberOptions {
  Config config = {};            ///< member_config()
  std::string config_file = {};  ///< for who asks the guest's control socket
  UniqueFd lease = {};
  std::string pool_socket = {};  ///< of a pool that may be gone at the guest's end
};

/// Runs the guest to its end, in a process with one thread that does nothing else. The exit status
/// of that process.
int run_member(MemberOptions options);

}  // namespace gpuvm::pool
