// SPDX-License-Identifier: Apache-2.0
// SizeWatch: SIGWINCH, by which the kernel says that the terminal in whose foreground a process is
// has another size (tty_ioctl(4)).
#pragma once

#include <functional>
#include <memory>

#include "vmm/base/asio.hpp"

namespace gpuvm {

/// On the control thread.
class SizeWatch : public std::enable_shared_from_this<SizeWatch> {
 public:
  /// `look` is called now and at each change, until stop().
  static std::shared_ptr<SizeWatch> start(boost::asio::io_context& control,
                                          std::function<void()> look);
  void stop();

 private:
  SizeWatch(boost::asio::io_context& control, std::function<void()> look)
      : signals_(control), look_(std::move(look)) {}
  void wait();

  boost::asio::signal_set signals_;
  const std::function<void()> look_;
};

}  // namespace gpuvm
