// SPDX-License-Identifier: Apache-2.0
// Console::Endpoint: one place of a console: its bytes in both directions, and its clients.
#pragma once

#include <sys/ioctl.h>

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/asio.hpp"
#include "vmm/console/backend.hpp"
#include "vmm/console/console.hpp"
#include "vmm/console/endpoint_output.hpp"

namespace gpuvm {

/// One place. Handlers that wait in the io_context keep it alive; after close() they do nothing.
/// All on the control thread, except write() and resume().
class Console::Endpoint : public std::enable_shared_from_this<Endpoint> {
 public:
  Endpoint(boost::asio::io_context& control, ConsoleBackend backend, const ConsoleOptions& options,
           ConsoleCallbacks callbacks)
      : control_(control),
        backend_(std::move(backend)),
        name_(options.name),
        escape_key_(backend_.terminal ? options.escape_key : std::uint8_t{0}),
        callbacks_(std::move(callbacks)),
        output_(options.output_buffer),
        input_(control),
        writable_(control),
        listener_(control),
        next_try_(control),
        held_(control) {}

  void start();
  void close();
  void write(std::span<const std::byte> bytes);
  std::size_t room() const;
  void resume();
  void tell_size();
  void flush(std::chrono::steady_clock::time_point deadline);
  const std::string& description() const { return backend_.description; }
  void inspect(InspectNode& node) const;

 private:
  /// Takes two descriptors of one open file, or invalid ones.
  void attach(int input, int output);
  void wait_client();
  void accept_client();
  void wait_before_client();
  void lose_reader();
  void wait_readable();
  void read_input();
  void type(std::span<const std::byte> bytes);
  void deliver();
  void wait_writable();
  void wait_for_line();
  void handle(EndpointOutput::Progress progress);
  void tell_room();

  boost::asio::io_context& control_;
  ConsoleBackend backend_;
  const std::string name_;
  const std::uint8_t escape_key_;
  const ConsoleCallbacks callbacks_;
  EndpointOutput output_;
  HostStream client_input_;
  HostStream client_output_;
  boost::asio::posix::stream_descriptor input_;
  boost::asio::posix::stream_descriptor writable_;
  boost::asio::posix::stream_descriptor listener_;
  boost::asio::steady_timer next_try_;
  boost::asio::steady_timer held_;  ///< until bytes without the end of their line are written
  std::vector<std::byte> pending_;  ///< typed, not yet taken by the guest
  winsize size_ = {};               ///< that was told last
  bool reading_ = false;            ///< a wait is under way
  bool closed_ = false;
};

}  // namespace gpuvm
