// SPDX-License-Identifier: Apache-2.0
// OwnerClient: the monitor's end of the socket: an Owner that asks the owner's process. Each call
// sends one request and waits for its answer.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "vmm/base/mutex.hpp"
#include "vmm/owner/owner.hpp"
#include "vmm/owner/owner_messages.hpp"

namespace gpuvm {

/// Any thread; one call at a time, the others wait. System calls: sendmsg, recvmsg, ppoll, and for
/// replace_file() also memfd_create, write, fcntl, close.
class OwnerClient final : public Owner {
 public:
  /// More than the owner's longest work (a link that is trained again) and rest.
  static constexpr std::chrono::milliseconds kPatience{60000};

  explicit OwnerClient(UniqueFd socket, std::chrono::milliseconds patience = kPatience)
      : socket_(std::move(socket)), patience_(patience) {}

  Status hold_function(const HeldFunction& function, UniqueFd claim, UniqueFd binding) override
      GPUVM_EXCLUDES(mutex_);
  Status hold_state(const std::string& name, UniqueFd file) override GPUVM_EXCLUDES(mutex_);
  Result<std::uint32_t> declare_file(const std::string& path, FileUse use) override
      GPUVM_EXCLUDES(mutex_);
  Status guest_runs() override GPUVM_EXCLUDES(mutex_);
  Status mark_failed(const Bdf& function, std::string_view reason) override GPUVM_EXCLUDES(mutex_);
  Status check_link(const Bdf& function) override GPUVM_EXCLUDES(mutex_);
  Status retrain_link(const Bdf& function) override GPUVM_EXCLUDES(mutex_);
  Status replace_file(std::uint32_t file, std::span<const std::byte> contents) override
      GPUVM_EXCLUDES(mutex_);
  Result<UniqueFd> open_file(std::uint32_t file) override GPUVM_EXCLUDES(mutex_);
  Status take_card(std::uint32_t card) override GPUVM_EXCLUDES(mutex_);
  Status give_back_card(std::uint32_t card) override GPUVM_EXCLUDES(mutex_);
  Result<bool> is_card_idle(std::uint32_t card) override GPUVM_EXCLUDES(mutex_);
  Result<CardFile> card_file(std::uint32_t card, CardFileKind kind, std::uint32_t index) override
      GPUVM_EXCLUDES(mutex_);

 private:
  struct Done {
    std::uint32_t value = 0;
    std::vector<UniqueFd> fds = {};
  };
  Result<Done> ask(const owner::Request& request, std::span<const int> fds = {})
      GPUVM_REQUIRES(mutex_);
  Result<owner::Answer> await_answer(std::vector<UniqueFd>& fds) GPUVM_REQUIRES(mutex_);
  Result<std::uint32_t> number_of(const Bdf& function) const GPUVM_REQUIRES(mutex_);

  const UniqueFd socket_;
  const std::chrono::milliseconds patience_;
  Mutex mutex_;
  std::uint32_t last_number_ GPUVM_GUARDED_BY(mutex_) = 0;
  bool is_broken_ GPUVM_GUARDED_BY(mutex_) = false;  ///< an answer is owed
  std::vector<Bdf> functions_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm
