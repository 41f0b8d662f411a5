// SPDX-License-Identifier: Apache-2.0
// OwnerServer: the owner's end of the socket. Takes one request at a time, has an Owner do it and
// answers. What no monitor of ours sends is a violation, after which nothing more is taken: the
// monitor is to be killed. Never waits for the monitor; more requests than a guest has reasons for
// must wait.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "vmm/base/unique_fd.hpp"
#include "vmm/owner/owner.hpp"
#include "vmm/owner/owner_messages.hpp"
#include "vmm/owner/owner_socket.hpp"

namespace gpuvm {

/// One thread.
class OwnerServer {
 public:
  using Clock = std::chrono::steady_clock;
  /// Functions, files and names that one guest may hand over, all together.
  static constexpr std::size_t kMostHeld = 256;
  static constexpr std::size_t kMostContents = 1 << 20;
  /// Requests at once, and how often another one is due.
  static constexpr unsigned kBurst = 64;
  static constexpr std::chrono::milliseconds kEvery{31};

  /// `duties` must outlive this. `now`: tests have a clock of their own. `cards`: how many the
  /// owner's configuration names.
  OwnerServer(
      Owner& duties, UniqueFd socket,
      std::function<Clock::time_point()> now = [] { return Clock::now(); },
      std::uint32_t cards = 0);

  int fd() const { return socket_.get(); }
  /// How long the socket is to be left alone; 0: it may be looked at.
  std::chrono::milliseconds rest();

  enum class Outcome {
    kServed,
    kNothing,    ///< there is no request, or rest() is not over
    kClosed,     ///< the monitor has closed its end
    kViolation,  ///< violation() says what
  };
  /// Serves one request, if there is one. After kClosed, kViolation and stop() it is not to be
  /// called.
  Outcome serve();
  /// When the monitor has ended: what it has sent and nobody takes any more is dropped, with
  /// descriptors, which may be those of devices that are to be given back.
  void stop() { socket_.reset(); }
  const std::string& violation() const { return violation_; }
  /// The guest may have run.
  bool has_guest_run() const { return has_guest_run_; }

 private:
  Outcome violate(std::string what);
  Outcome answer(std::uint32_t number, const Status& status, std::uint32_t value = 0,
                 const UniqueFd& file = UniqueFd());
  Outcome carry_out(std::uint32_t number, const owner::Request& request, std::vector<UniqueFd> fds);
  Outcome replace_file(std::uint32_t number, std::uint32_t file, const UniqueFd& contents);
  Outcome open_file(std::uint32_t number, std::uint32_t file);
  Outcome serve_card(std::uint32_t number, std::uint32_t card, const owner::Request& request);
  Result<CardFile> fetch_file(const owner::FetchCardFile& fetch);
  Status do_before_guest(const owner::Request& request, std::vector<UniqueFd> fds,
                         std::uint32_t& value);
  Status do_for_function(const owner::Request& request, const Bdf& function);

  Owner& duties_;
  UniqueFd socket_;
  const std::function<Clock::time_point()> now_;
  const std::uint32_t cards_;
  bool has_guest_run_ = false;
  std::vector<Bdf> functions_;
  struct File {
    std::uint32_t number;  ///< of the duties'
    FileUse use;
  };
  std::vector<File> files_;  ///< by our numbers
  std::size_t states_ = 0;
  std::string violation_;
  unsigned tokens_ = kBurst;
  Clock::time_point filled_;  ///< up to when tokens were counted
};

}  // namespace gpuvm
