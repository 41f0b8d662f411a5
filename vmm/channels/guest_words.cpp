// SPDX-License-Identifier: Apache-2.0
#include "vmm/channels/guest_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

WordTeller::OnWord to(GuestEvents& events) {
  return [&events](GuestWord word) { events.word(std::move(word)); };
}

/// A credential, whose contents are no secret here.
void add_credential(Config& config, std::string name, std::string value) {
  CredentialConfig credential;
  credential.name = std::move(name);
  credential.text = std::move(value);
  config.credentials.push_back(std::move(credential));
}

/// A disk's own boot loader has a command line of its own.
void add_parameter(Config& config, const std::string& word) {
  if (!config.boot.kernel.empty()) {
    config.boot.cmdline += (config.boot.cmdline.empty() ? "" : " ") + word;
  }
}

Result<std::unique_ptr<ResultFile>> open_file(const Config& config,
                                              const ResultFileConfig& wanted) {
  const auto share =
      std::find_if(config.shares.begin(), config.shares.end(),
                   [&wanted](const ShareConfig& each) { return each.tag == wanted.tag; });
  if (share == config.shares.end()) {
    return fail(ErrorKind::kConfig, "test.result_file: there is no [[share]] with the tag {}",
                wanted.tag);
  }
  return ResultFile::open(share->path, wanted.path);
}

}  // namespace

GuestWords::GuestWords(const TestConfig& config, GuestEvents& events)
    : config_(config),
      port_words_("status_port", "status port", to(events)),
      vsock_words_("vsock", "vsock", to(events)),
      notify_words_("notify", "notifications", to(events)),
      file_words_("result_file", "result file", to(events)) {}

Result<std::unique_ptr<GuestWords>> GuestWords::open(const Config& config, GuestEvents& events) {
  std::unique_ptr<GuestWords> words(new GuestWords(config.test, events));
  TRY(words->open_sockets());
  TRY(words->open_result_file(config));
  return words;
}

Status GuestWords::open_sockets() {
  if (config_.vsock_status) {
    vsock_ = TRY(listen_on_vsock());
  }
  if (config_.notify) {
    notify_ = TRY(listen_on_vsock());
  }
  return {};
}

Status GuestWords::open_result_file(const Config& config) {
  if (config_.result_file) {
    file_ = TRY(open_file(config, *config_.result_file));
  }
  return {};
}

void GuestWords::announce(Config& config) const {
  if (config_.vsock_status) {
    add_credential(config, "gpuvm.status_port", std::to_string(vsock_.port));
    add_parameter(config, fmt::format("gpuvm.vsock={}", vsock_.port));
  }
  if (config_.notify) {
    add_credential(config, "vmm.notify_socket", fmt::format("vsock-stream:2:{}", notify_.port));
  }
}

Status GuestWords::listen(std::optional<std::uint32_t> cid) {
  WordListener::Options options;
  for (auto [socket, protocol, teller] :
       {std::tuple{&vsock_, WordListener::Protocol::kLine, &vsock_words_},
        std::tuple{&notify_, WordListener::Protocol::kNotification, &notify_words_}}) {
    if (socket->fd) {
      options.endpoints.push_back(
          {.socket = std::move(socket->fd), .protocol = protocol, .teller = teller});
    }
  }
  if (options.endpoints.empty()) {
    return {};
  }
  options.is_guest = [cid](const sockaddr_storage& peer) { return cid && cid_of(peer) == cid; };
  auto listener = TRY(WordListener::start(std::move(options)));
  const MutexLock lock(mutex_);
  listener_ = std::move(listener);
  return {};
}

void GuestWords::finish() {
  WordListener* listener = nullptr;
  {
    const MutexLock lock(mutex_);
    listener = listener_.get();
  }
  if (listener != nullptr) {
    listener->finish();  // without the lock: its last words have observers
  }
  if (!file_) {
    return;
  }
  const auto line = file_->first_line();
  if (!line) {
    log::warn("The guest's result file: {}", line.error().to_string());
  } else if (*line) {
    file_words_.tell_line((*line)->text, (*line)->written);
  }
}

void GuestWords::inspect(InspectNode& node) const {
  if (config_.status_port) {
    port_words_.inspect(node.child("status_port"));
  }
  if (config_.vsock_status) {
    node.child("vsock").field("port", std::uint64_t{vsock_.port});
    vsock_words_.inspect(node.child("vsock"));
  }
  if (config_.notify) {
    node.child("notify").field("port", std::uint64_t{notify_.port});
    notify_words_.inspect(node.child("notify"));
  }
  if (config_.result_file) {
    file_words_.inspect(node.child("result_file"));
  }
  const MutexLock lock(mutex_);
  if (listener_) {
    listener_->inspect(node.child("sockets"));
  }
}

void describe_words(const Config& config, InspectNode& node) {
  const TestConfig& test = config.test;
  if (test.status_port) {
    node.field("status_port", fmt::format("virtio port {}", kStatusPortName));
  }
  if (test.vsock_status) {
    node.field("vsock_status",
               "a port of the host that is free; the guest finds it as credential "
               "gpuvm.status_port, and as gpuvm.vsock= of the kernel's command line");
  }
  if (test.notify) {
    node.field("notify", "a port of the host that is free; credential vmm.notify_socket");
  }
  if (test.result_file) {
    node.field("result_file",
               fmt::format("{} in the share {}", test.result_file->path, test.result_file->tag));
  }
}

Status check_words(const Config& config) {
  if (config.test.result_file) {
    TRY(open_file(config, *config.test.result_file));
  }
  return {};
}

}  // namespace gpuvm
