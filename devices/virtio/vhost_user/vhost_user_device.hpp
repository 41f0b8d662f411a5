// SPDX-License-Identifier: Apache-2.0
// VhostUserDevice: a virtio device that is a vhost-user server's: its requests and, where the
// server tells it, its configuration structure. What kind of device it is, who makes it knows.
#pragma once

#include <memory>
#include <string>

#include "devices/virtio/vhost_user/client.hpp"
#include "devices/virtio/virtio_device.hpp"

namespace gpuvm {

class VhostUserDevice : public VirtioDevice {
 public:
  struct Options {
    std::string name;
    /// `features`: those of the device's type that it may have, of which the server's remain.
    Identity identity;
    vhost_user::Client& client;  ///< outlives this
    /// The configuration structure is the server's, and changes when it says so; else it is
    /// config()'s owner who defines it.
    bool config_from_server = false;
  };
  /// Errors: kHost: the server has too few queues, or does not tell the configuration.
  static Result<std::unique_ptr<VhostUserDevice>> create(Options options);
  ~VhostUserDevice() override { options_.client.set_config_listener({}); }
  VhostUserDevice(const VhostUserDevice&) = delete;
  VhostUserDevice& operator=(const VhostUserDevice&) = delete;

  std::string_view name() const override { return options_.name; }
  const Identity& identity() const override { return options_.identity; }
  DeviceConfig& config() override { return config_; }
  void start(std::uint64_t) override {}
  void inspect(InspectNode& node) const override;

 private:
  explicit VhostUserDevice(Options options)
      : options_(std::move(options)), config_(options_.identity.config_size) {}
  Status read_config();

  const Options options_;
  DeviceConfig config_;
};

}  // namespace gpuvm
