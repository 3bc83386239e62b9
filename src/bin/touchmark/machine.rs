//! What this machine has.

use serde::Serialize;

/// Memory in bytes; where a control group or a container allows less than the machine has, what it allows.
#[derive(Clone, Copy, Serialize)]
pub struct Memory {
    pub total: u64,
    /// Free, or freed on demand.
    pub available: u64,
}

impl Memory {
    pub fn now() -> Self {
        let mut system = sysinfo::System::new();
        system.refresh_memory();
        let (mut total, mut available) = (system.total_memory(), system.available_memory());
        if let Some(limits) = system.cgroup_limits() {
            total = total.min(limits.total_memory);
            available = available.min(limits.free_memory);
        }
        Self { total, available }
    }
}

/// Bytes for people, three digits.
pub fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 99.95 { 0 } else { 1 };
    format!("{value:.digits$} {}", units[unit])
}
