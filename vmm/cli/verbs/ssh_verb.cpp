// SPDX-License-Identifier: Apache-2.0
// gpuvm ssh: into a running guest, by its vsock or a port of the host that leads there; and what
// ssh itself starts to reach a vsock.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "vmm/base/text.hpp"
#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/login/guest_socket.hpp"
#include "vmm/login/running_guest.hpp"
#include "vmm/login/ssh_command.hpp"

namespace gpuvm::cli {
namespace {

constexpr std::uint32_t kSshPort = 22;
constexpr std::chrono::milliseconds kConnectLimit{2000};
constexpr std::chrono::milliseconds kBannerLimit{5000};
constexpr std::chrono::milliseconds kBetweenAttempts{250};

std::string names_text(const std::vector<GuestRecord>& guests) {
  std::vector<std::string> names;
  for (const auto& guest : guests) {
    names.push_back(guest.name);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

Result<GuestRecord> find_guest(const HostSystem& host, const std::string& name) {
  const auto guests = running_guests(guest_folders(host));
  const auto found = std::find_if(guests.begin(), guests.end(),
                                  [&name](const auto& guest) { return guest.name == name; });
  if (found != guests.end()) {
    return *found;
  }
  return fail(ErrorKind::kHost, "No guest named {} runs here; {}", name,
              guests.empty() ? std::string("none of this user runs")
                             : "those of this user that run: " + names_text(guests));
}

enum class Way { kNone, kVsock, kPort };

/// The first way at whose end an sshd speaks, until `limit` is over. (Nothing tells when one comes
/// to be: it is asked again and again.)
Way find_way(const HostSystem& host, const GuestRecord& guest, std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    if (guest.cid) {
      const auto socket = connect_to_vsock(*guest.cid, kSshPort, kConnectLimit);
      if (socket && speaks_ssh(*socket, kBannerLimit)) {
        return Way::kVsock;
      }
    }
    if (guest.port != 0) {
      const auto socket = connect_to_port(guest.address, guest.port, kConnectLimit);
      if (socket && speaks_ssh(*socket, kBannerLimit)) {
        return Way::kPort;
      }
    }
    if (std::chrono::steady_clock::now() >= end || !find_guest(host, guest.name)) {
      return Way::kNone;
    }
    std::this_thread::sleep_for(kBetweenAttempts);
  }
}

Error no_way(const GuestRecord& guest) {
  return fail(
      ErrorKind::kConfig,
      "gpuvm knows no way into the guest {}: add [vsock] (images of scripts/make-image, and "
      "systemd from 256 on, answer there), or forward = [\"tcp:127.0.0.1/2222:22\"] in a "
      "[[net]] with mode = \"user\", with ssh_key = \"auto\" at the beginning of the file, and "
      "start it anew; on a tap it has an address of its own: ssh root@ADDRESS",
      guest.name);
}

Error nobody_answers(const HostSystem& host, const GuestRecord& guest, unsigned wait) {
  if (!find_guest(host, guest.name)) {
    return fail(ErrorKind::kHost, "The guest {} has ended", guest.name);
  }
  return fail(ErrorKind::kHost,
              "No sshd of the guest {} has answered within {} s{}: see its console whether it has "
              "booted, and whether it runs one",
              guest.name, wait,
              guest.port != 0
                  ? fmt::format(" (at {} port {} of this host)", guest.address, guest.port)
                  : "");
}

std::string own_program() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "gpuvm" : path.string();
}

/// Does not return unless it fails.
Error become(std::vector<std::string> words) {
  std::vector<char*> raw;
  for (auto& word : words) {
    raw.push_back(word.data());
  }
  raw.push_back(nullptr);
  sigset_t none;  // main() holds signals for a run, and a program inherits what is held
  ::sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  ::execvp(raw.front(), raw.data());
  if (errno == ENOENT) {
    return fail(ErrorKind::kHost,
                "gpuvm ssh needs the program ssh, which is not installed: apt install "
                "openssh-client (dnf install openssh-clients)");
  }
  return fail_errno(ErrorKind::kHost, "Cannot run ssh");
}

/// Up to the host and what is run there: who has this printed gives their own.
Result<int> print_command(std::vector<std::string> words) {
  words.erase(std::find(words.begin(), words.end(), "--"), words.end());
  std::string line;
  for (const auto& word : words) {
    line += (line.empty() ? "" : " ") + shell_quoted(word);
  }
  TRY(print(line + "\n"));
  return 0;
}

}  // namespace

Result<int> ssh_verb(const SshArguments& arguments) {
  const HostSystem host;
  const auto at = arguments.guest.rfind('@');
  SshRequest request{.user = at == std::string::npos ? "root" : arguments.guest.substr(0, at),
                     .command = arguments.command,
                     .program = own_program()};
  const auto name = at == std::string::npos ? arguments.guest : arguments.guest.substr(at + 1);
  if (name.empty() || request.user.empty() || request.user.front() == '-') {
    return fail(ErrorKind::kUsage,
                "{} is not of the form NAME or USER@NAME, as in gpuvm ssh me@render-1 (gpuvm ps "
                "lists the guests that run)",
                arguments.guest.empty() ? "\"\"" : terminal_text(arguments.guest));
  }
  const auto guest = TRY(find_guest(host, name));
  if (!guest.cid && guest.port == 0) {
    return no_way(guest);
  }
  if (arguments.print) {
    request.by_vsock = guest.cid.has_value();
    return print_command(ssh_command(guest, request));
  }
  const auto way = find_way(host, guest, std::chrono::seconds(arguments.wait));
  if (way == Way::kNone) {
    return nobody_answers(host, guest, arguments.wait);
  }
  request.by_vsock = way == Way::kVsock;
  return become(ssh_command(guest, request));
}

Result<int> vsock_connect_verb(const VsockConnectArguments& arguments) {
  const auto socket = TRY(connect_to_vsock(arguments.cid, arguments.port, kConnectLimit));
  TRY(pass_descriptor(STDOUT_FILENO, socket));
  return 0;
}

}  // namespace gpuvm::cli
