// SPDX-License-Identifier: Apache-2.0
// The configuration of a guest that waits in a pool, out of the one that its user has: without its
// cards, which are plugged in later, and without what two guests cannot both have.
#pragma once

#include <string>

#include "vmm/base/result.hpp"
#include "vmm/config/config.hpp"

namespace gpuvm::pool {

/// Whether several guests of this configuration can wait side by side. Errors: kConfig, with the
/// key that is in the way and what to do.
Status check_pool_config(const Config& config);

/// The guest's, under this name. The configuration has passed check_pool_config(). Errors: as
/// add_warm_agent().
Result<Config> member_config(const Config& config, const std::string& name);

/// A name that no guest of this pool has had: the pool's, "-", and eight random digits. Its MAC
/// addresses and UUID follow from it. Errors: kHost: no random numbers.
Result<std::string> fresh_member_name(const std::string& pool);

/// What of a configuration is the waiting guest's, as TOML: who takes one must want the same. What
/// is his own (cards, name, console, limits of his test) is left out, and so are texts of
/// credentials.
std::string machine_text(const Config& config);

/// Where two such texts differ, for people: "the pool's has `cpus = 2`, and `cpus = 4` is wanted".
/// Empty: nowhere.
std::string difference_of(const std::string& has, const std::string& wanted);

/// Whether a warm guest can have what is wanted of its cards and its test. Errors: kConfig.
Status check_warm_job(const Config& config);

/// RUN_FOLDER/NAME.pool of this user. Errors: as guest_socket_path().
Result<std::string> pool_socket_path(const std::string& name);

}  // namespace gpuvm::pool
