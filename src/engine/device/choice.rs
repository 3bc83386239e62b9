//! Which device a model runs on, and which there are.

use std::fmt;
use std::str::FromStr;

use super::DeviceDecoder;
use crate::engine::{Decoder, Dtype, EngineError, Source};
use crate::lm::LanguageModel;

/// Where a model shall run. As text `auto`, `cpu`, `cuda`, `cuda:1`, `metal`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// The first CUDA device, else the Metal device, else the CPU, among those that the program was built for and that
    /// answer.
    #[default]
    Auto,
    /// This machine's processor.
    Cpu,
    /// An NVIDIA GPU, by its number from 0 on.
    Cuda(usize),
    /// An Apple GPU.
    Metal,
}

impl FromStr for Device {
    type Err = EngineError;

    fn from_str(name: &str) -> Result<Self, EngineError> {
        let number = |number: &str| number.parse().ok().map(Self::Cuda);
        let known = match name {
            "auto" => Some(Self::Auto),
            "cpu" => Some(Self::Cpu),
            "cuda" => Some(Self::Cuda(0)),
            "metal" => Some(Self::Metal),
            _ => name.strip_prefix("cuda:").and_then(number),
        };
        known.ok_or_else(|| EngineError::UnknownDevice { given: name.to_owned() })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

impl Device {
    /// The device that this stands for: [`Device::Auto`] becomes one that answers.
    ///
    /// # Errors
    /// [`EngineError`]: a device that the program was not built for or that does not answer.
    pub fn resolve(self) -> Result<Self, EngineError> {
        if self == Self::Auto {
            let gpu = [Self::Cuda(0), Self::Metal].into_iter().find(|gpu| gpu.open().is_ok());
            return Ok(gpu.unwrap_or(Self::Cpu));
        }
        self.open().map(|_| self)
    }

    /// The feature that a program must be built with to use the device.
    fn feature(self) -> Option<(&'static str, bool)> {
        match self {
            Self::Auto | Self::Cpu => None,
            Self::Cuda(_) => Some(("cuda", cfg!(feature = "cuda"))),
            Self::Metal => Some(("metal", cfg!(feature = "metal"))),
        }
    }

    /// The tensor library's handle.
    pub(super) fn open(self) -> Result<candle_core::Device, EngineError> {
        if let Some((feature, false)) = self.feature() {
            return Err(EngineError::DeviceNotBuilt { device: self, feature });
        }
        let missing = |source| EngineError::NoDevice { device: self, source };
        match self {
            Self::Auto => self.resolve()?.open(),
            Self::Cpu => Ok(candle_core::Device::Cpu),
            Self::Cuda(number) => candle_core::Device::new_cuda(number).map_err(missing),
            Self::Metal => candle_core::Device::new_metal(0).map_err(missing),
        }
    }
}

/// A device that this program can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// How it is asked for.
    pub device: Device,
    /// Its maker's name for it.
    pub name: String,
    /// Its memory in bytes, where it has its own and says so.
    pub memory: Option<u64>,
}

/// The devices that this program was built for and that answer, the CPU first.
pub fn devices() -> Vec<DeviceInfo> {
    let cpu = DeviceInfo {
        device: Device::Cpu,
        name: format!("{} processor", std::env::consts::ARCH),
        memory: None,
    };
    [vec![cpu], cuda_devices(), metal_devices()].concat()
}

#[cfg(feature = "cuda")]
fn cuda_devices() -> Vec<DeviceInfo> {
    use candle_core::cuda_backend::cudarc::driver::CudaContext;

    let count = CudaContext::device_count().unwrap_or(0);
    let info = |number: usize| {
        let context = CudaContext::new(number).ok()?;
        let memory = context.total_mem().ok().map(|bytes| bytes as u64);
        Some(DeviceInfo { device: Device::Cuda(number), name: context.name().ok()?, memory })
    };
    (0..usize::try_from(count).unwrap_or(0)).filter_map(info).collect()
}

#[cfg(not(feature = "cuda"))]
fn cuda_devices() -> Vec<DeviceInfo> {
    Vec::new()
}

#[cfg(feature = "metal")]
fn metal_devices() -> Vec<DeviceInfo> {
    let info = |device: &candle_core::Device| {
        let device = device.as_metal_device().ok()?;
        let device = device.metal_device();
        let memory = Some(device.recommended_max_working_set_size() as u64);
        Some(DeviceInfo { device: Device::Metal, name: device.architecture_name(), memory })
    };
    Device::Metal.open().ok().as_ref().and_then(info).into_iter().collect()
}

#[cfg(not(feature = "metal"))]
fn metal_devices() -> Vec<DeviceInfo> {
    Vec::new()
}

/// Loads a model where it shall run: [`Decoder`] on the CPU, [`DeviceDecoder`] elsewhere.
///
/// # Errors
/// [`EngineError`]: files that are missing, damaged or contradict each other, models of another kind, and a device that
/// the program was not built for or that does not answer.
pub fn load(
    source: &Source<'_>,
    device: Device,
    dtype: Dtype,
) -> Result<Box<dyn LanguageModel>, EngineError> {
    let opened = device.open()?;
    if opened.is_cpu() {
        return Ok(Box::new(Decoder::load(source, dtype)?));
    }
    Ok(Box::new(DeviceDecoder::load_on(source, opened, dtype)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let all = [Device::Auto, Device::Cpu, Device::Cuda(0), Device::Cuda(13), Device::Metal];
        for device in all {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        assert_eq!("cuda:0".parse::<Device>().unwrap(), Device::Cuda(0));
        for wrong in ["", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:x", "cuda1", "metal:0"] {
            let error = wrong.parse::<Device>().unwrap_err();
            assert!(matches!(error, EngineError::UnknownDevice { given } if given == wrong));
        }
    }

    #[test]
    fn a_device_that_was_not_built_in_is_refused_with_advice() {
        for (device, feature, built) in [
            (Device::Cuda(1), "cuda", cfg!(feature = "cuda")),
            (Device::Metal, "metal", cfg!(feature = "metal")),
        ] {
            match device.open() {
                Ok(_) => assert!(built),
                Err(error @ EngineError::NoDevice { .. }) => assert!(built, "{error}"),
                Err(error) => {
                    assert!(!built && error.to_string().contains(&format!("--features {feature}")));
                    assert!(error.to_string().contains(&device.to_string()), "{error}");
                }
            }
        }
        assert_eq!(devices()[0].device, Device::Cpu);
        assert!(Device::Auto.open().is_ok());
    }
}
