// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/size_watch.hpp"

#include <signal.h>

#include "vmm/base/log.hpp"

namespace gpuvm {

std::shared_ptr<SizeWatch> SizeWatch::start(boost::asio::io_context& control,
                                            std::function<void()> look) {
  std::shared_ptr<SizeWatch> watch(new SizeWatch(control, std::move(look)));
  boost::system::error_code error;
  watch->signals_.add(SIGWINCH, error);
  if (error) {
    log::debug("Changes of the terminal's size are not noticed: {}", error.message());
  }
  watch->look_();
  watch->wait();
  return watch;
}

void SizeWatch::stop() {
  boost::system::error_code ignored;
  signals_.clear(ignored);
  signals_.cancel(ignored);
}

void SizeWatch::wait() {
  signals_.async_wait([self = shared_from_this()](boost::system::error_code error, int) {
    if (!error) {
      self->look_();
      self->wait();
    }
  });
}

}  // namespace gpuvm
