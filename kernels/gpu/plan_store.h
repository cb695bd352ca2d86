#pragma once
#include <c10/core/Device.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace brume::kernels::gpu {

/// Measured plans are kept in files of this directory (plan_cache.h); empty, or without this call: nowhere.
/// `on_first` is called when the first plan that is not there was measured: more will follow, for seconds.
/// To be called before the first product, as what was measured earlier is not kept.
void keep_plans_in(const std::filesystem::path& directory, std::function<void()> on_first);
/// Writes what was measured since. It is a cache: nothing is said where that fails.
void save_plans();

/// What was stored for `key` and a GPU as `device` is.
std::optional<std::string> stored_plan(c10::DeviceIndex device, const std::string& key);
void store_plan(c10::DeviceIndex device, const std::string& key, const std::string& value);

}  // namespace brume::kernels::gpu
