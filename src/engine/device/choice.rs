//! Which device computes.

use std::fmt;
use std::str::FromStr;

use candle_core::Device as CandleDevice;

use super::DeviceDecoder;
use crate::engine::{Decoder, Dtype, EngineError, Source};
use crate::lm::LanguageModel;

/// Where a model is to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// A GPU that this build knows and that answers, else the CPU.
    #[default]
    Auto,
    /// The CPU, with kernels of our own.
    Cpu,
    /// An NVIDIA GPU, by number.
    Cuda(usize),
    /// The Apple GPU.
    Metal,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

impl FromStr for Device {
    type Err = EngineError;

    /// `auto`, `cpu`, `cuda`, `cuda:1`, `metal`.
    fn from_str(text: &str) -> Result<Self, EngineError> {
        let unknown = || EngineError::UnknownDevice { given: text.to_owned() };
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "metal" => Ok(Self::Metal),
            _ => {
                let number = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                number.parse().map(Self::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl Device {
    /// The device that this stands for: [`Device::Auto`] becomes one that is there.
    ///
    /// # Errors
    /// As [`load`].
    pub fn resolve(self) -> Result<Self, EngineError> {
        let candidates = [Self::Cuda(0), Self::Metal];
        match self {
            Self::Cpu => Ok(Self::Cpu),
            Self::Auto => {
                Ok(candidates.into_iter().find(|gpu| open(*gpu).is_ok()).unwrap_or(Self::Cpu))
            }
            chosen => open(chosen).map(|_| chosen),
        }
    }
}

/// A device that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenDevice {
    /// What to ask for.
    pub device: Device,
    /// What it is.
    pub name: String,
}

/// The devices that this build can use on this machine, the CPU first.
pub fn devices() -> Vec<SeenDevice> {
    let mut seen = vec![SeenDevice { device: Device::Cpu, name: "the processor".to_owned() }];
    // candle has no way to count GPUs; their numbers have no gaps.
    let gpus = (0..16).map_while(|number| open(Device::Cuda(number)).ok().map(|_| number));
    seen.extend(gpus.map(|number| SeenDevice {
        device: Device::Cuda(number),
        name: format!("NVIDIA GPU {number}"),
    }));
    if open(Device::Metal).is_ok() {
        seen.push(SeenDevice { device: Device::Metal, name: "Apple GPU".to_owned() });
    }
    seen
}

/// Loads a model where it is to run: the CPU form or the device form.
///
/// # Errors
/// [`EngineError::NoDevice`] when the device does not answer or this build does not know it; otherwise as
/// [`Decoder::load`] and [`DeviceDecoder::load`].
pub fn load(
    source: &Source<'_>,
    device: Device,
    dtype: Dtype,
) -> Result<Box<dyn LanguageModel>, EngineError> {
    Ok(match device.resolve()? {
        Device::Cpu | Device::Auto => Box::new(Decoder::load(source, dtype)?),
        gpu => Box::new(DeviceDecoder::load(source, &open(gpu)?, dtype)?),
    })
}

fn open(device: Device) -> Result<CandleDevice, EngineError> {
    let (feature, built) = match device {
        Device::Cuda(_) => ("cuda", cfg!(feature = "cuda")),
        _ => ("metal", cfg!(feature = "metal")),
    };
    if !built {
        return Err(EngineError::DeviceNotBuilt { device, feature });
    }
    let opened = match device {
        Device::Cuda(number) => CandleDevice::new_cuda(number),
        _ => CandleDevice::new_metal(0),
    };
    opened.map_err(|source| EngineError::NoDevice { device, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices() {
        for (text, device) in [
            ("auto", Device::Auto),
            ("cpu", Device::Cpu),
            ("cuda", Device::Cuda(0)),
            ("cuda:3", Device::Cuda(3)),
            ("metal", Device::Metal),
        ] {
            let parsed: Device = text.parse().unwrap();
            assert_eq!(parsed, device);
            assert_eq!(parsed.to_string().parse::<Device>().unwrap(), device);
        }
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
            assert!(
                matches!(text.parse::<Device>(), Err(EngineError::UnknownDevice { .. })),
                "{text}"
            );
        }
    }
}
