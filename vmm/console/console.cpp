// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/console.hpp"

#include <algorithm>

#include "vmm/base/asio.hpp"
#include "vmm/base/log.hpp"
#include "vmm/console/backend.hpp"
#include "vmm/console/endpoint.hpp"
#include "vmm/console/size_watch.hpp"

namespace gpuvm {
namespace {

std::string key_name(std::uint8_t key) {
  return fmt::format("Ctrl-{}", static_cast<char>((key & 0x1f) + '@'));
}

}  // namespace

Result<std::unique_ptr<Console>> Console::create(boost::asio::io_context& control,
                                                 const ConsoleOptions& options,
                                                 const ConsoleCallbacks& callbacks) {
  std::vector<ConsoleBackend> backends;
  for (const SerialTarget& place : options.serial) {
    backends.push_back(TRY(open_backend(place, {options.standard_input, options.standard_output},
                                        options.name, options.most_of_file)));
  }
  ignore_broken_pipes();
  std::vector<std::shared_ptr<Endpoint>> endpoints;
  for (auto& backend : backends) {
    const bool escape = backend.mode.has_value() && options.escape_key != 0;
    log::info(
        "The {} is on {}{}", options.name, backend.description,
        escape ? "; " + key_name(options.escape_key) + " presses the power button" : std::string());
    endpoints.push_back(
        std::make_shared<Endpoint>(control, std::move(backend), options, callbacks));
    endpoints.back()->start();
  }
  auto console = std::unique_ptr<Console>(new Console(std::move(endpoints)));
  if (callbacks.resized) {
    console->size_watch_ = SizeWatch::start(control, [places = console->endpoints_] {
      for (const auto& endpoint : places) {
        endpoint->tell_size();
      }
    });
  }
  return console;
}

Console::Console(std::vector<std::shared_ptr<Endpoint>> endpoints)
    : endpoints_(std::move(endpoints)) {}

Console::~Console() {
  if (size_watch_) {
    size_watch_->stop();
  }
  for (const auto& endpoint : endpoints_) {
    endpoint->close();
  }
}

void Console::write(std::span<const std::byte> bytes) {
  for (const auto& endpoint : endpoints_) {
    endpoint->write(bytes);
  }
}

std::size_t Console::write_some(std::span<const std::byte> bytes) {
  std::size_t room = bytes.size();
  for (const auto& endpoint : endpoints_) {
    room = std::min(room, endpoint->room());
  }
  write(bytes.first(room));
  return room;
}

void Console::resume_input() {
  for (const auto& endpoint : endpoints_) {
    endpoint->resume();
  }
}

void Console::flush(std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (const auto& endpoint : endpoints_) {
    endpoint->flush(deadline);
  }
}

std::vector<std::string> Console::places() const {
  std::vector<std::string> places;
  for (const auto& endpoint : endpoints_) {
    places.push_back(endpoint->description());
  }
  return places;
}

void Console::inspect(InspectNode& node) const {
  for (const auto& endpoint : endpoints_) {
    endpoint->inspect(node.child(endpoint->description()));
  }
}

}  // namespace gpuvm
