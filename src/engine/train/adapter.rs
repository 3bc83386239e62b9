//! Linear layers: trained, frozen, or frozen with a low-rank adapter.

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Shape, Tensor, Var};

use super::random::Random;

/// A matrix of each layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of model files")]
pub enum Target {
    Query,
    Key,
    Value,
    Output,
    Gate,
    Up,
    Down,
}

impl Target {
    /// All of a layer.
    pub const ALL: [Self; 7] =
        [Self::Query, Self::Key, Self::Value, Self::Output, Self::Gate, Self::Up, Self::Down];
}

/// Low-rank adaptation (Hu et al. 2021): W + α/r · B A, with A (r × inputs) random and B (outputs × r) zero at first.
#[derive(Clone, Debug, PartialEq)]
pub struct LowRank {
    /// r.
    pub rank: usize,
    /// α.
    pub alpha: f64,
    /// Matrices that get one, in every layer.
    pub targets: Vec<Target>,
}

impl Default for LowRank {
    /// Rank 16, α = 32, all matrices.
    fn default() -> Self {
        Self { rank: 16, alpha: 32.0, targets: Target::ALL.to_vec() }
    }
}

/// `x · Wᵀ`.
pub(super) enum Linear {
    Trained(Var),
    Frozen(Tensor),
    Adapted { weight: Tensor, a: Var, b: Var, scale: f64 },
}

impl Linear {
    pub(super) fn adapted(
        weight: Tensor,
        low_rank: &LowRank,
        random: &mut Random,
    ) -> candle_core::Result<Self> {
        let (outputs, inputs) = weight.dims2()?;
        let sd = 1.0 / (inputs as f64).sqrt();
        let a = Var::from_tensor(&random.normal((low_rank.rank, inputs), sd)?)?;
        let b = Var::zeros((outputs, low_rank.rank), DType::F32, &Device::Cpu)?;
        let scale = low_rank.alpha / low_rank.rank as f64;
        Ok(Self::Adapted { weight, a, b, scale })
    }

    /// Rows of x, (n, inputs), to rows of outputs.
    pub(super) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Trained(weight) => x.matmul(&weight.t()?),
            Self::Frozen(weight) => frozen(x, weight),
            Self::Adapted { weight, a, b, scale } => {
                let low = x.matmul(&a.t()?)?.affine(*scale, 0.0)?;
                frozen(x, weight)? + low.matmul(&b.t()?)?
            }
        }
    }

    /// The matrix as it is now.
    pub(super) fn merged(&self) -> candle_core::Result<Tensor> {
        match self {
            Self::Trained(weight) => Ok(weight.as_detached_tensor()),
            Self::Frozen(weight) => Ok(weight.clone()),
            Self::Adapted { weight, a, b, scale } => {
                weight + b.as_detached_tensor().matmul(a)?.affine(*scale, 0.0)?.detach()
            }
        }
    }

    pub(super) fn variables(&self) -> Vec<Var> {
        match self {
            Self::Trained(weight) => vec![weight.clone()],
            Self::Frozen(_) => vec![],
            Self::Adapted { a, b, .. } => vec![a.clone(), b.clone()],
        }
    }
}

/// `x · Wᵀ` of which only x is differentiated: candle's own product computes the gradient of a frozen matrix too, a third of the
/// whole work.
fn frozen(x: &Tensor, weight: &Tensor) -> candle_core::Result<Tensor> {
    x.contiguous()?.apply_op1(FrozenProduct { weight: weight.clone() })
}

struct FrozenProduct {
    /// (outputs, inputs).
    weight: Tensor,
}

impl CustomOp1 for FrozenProduct {
    fn name(&self) -> &'static str {
        "frozen-product"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let values = storage.as_slice::<f32>()?;
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("rows that do not lie side by side")
        };
        let x = Tensor::from_slice(&values[start..end], layout.shape(), &Device::Cpu)?;
        let product = x.matmul(&self.weight.t()?)?;
        let shape = product.shape().clone();
        Ok((CpuStorage::F32(product.flatten_all()?.to_vec1()?), shape))
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(gradient.matmul(&self.weight)?))
    }
}
