// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vhost_user/vhost_user_device.hpp"

#include "vmm/base/log.hpp"

namespace gpuvm {

Result<std::unique_ptr<VhostUserDevice>> VhostUserDevice::create(Options options) {
  vhost_user::Client& client = options.client;
  if (client.queue_limit().value_or(options.identity.queues) < options.identity.queues) {
    return fail(ErrorKind::kHost, "{} serves {} queues, and {} has {}", client.name(),
                *client.queue_limit(), options.name, options.identity.queues);
  }
  std::unique_ptr<VhostUserDevice> device(new VhostUserDevice(std::move(options)));
  if (device->options_.config_from_server) {
    // A change that comes in between is told, too.
    client.set_config_listener([raw = device.get()] {
      if (const auto read = raw->read_config(); !read) {
        log::warn("{}: {}", raw->name(), read.error().to_string());
      }
    });
    TRY(device->read_config());
  }
  return device;
}

Status VhostUserDevice::read_config() {
  config_.replace(TRY(options_.client.config(options_.identity.config_size)));
  return {};
}

void VhostUserDevice::inspect(InspectNode& node) const {
  node.field("served_by", options_.client.name());
}

}  // namespace gpuvm
