//! Weights rounded as simple quantisers do.

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// The layers' matrices of a bf16 file rounded to 15 values for each 32 numbers of a row, as f32.
pub fn rounded(file: &[u8]) -> Vec<u8> {
    let tensors = SafeTensors::deserialize(file).unwrap();
    let rounded: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .tensors()
        .into_iter()
        .map(|(name, tensor)| {
            assert_eq!(tensor.dtype(), Dtype::BF16);
            let numbers = tensor.data().chunks_exact(2);
            let mut values: Vec<f32> = numbers
                .map(|pair| f32::from_bits(u32::from(u16::from_le_bytes([pair[0], pair[1]])) << 16))
                .collect();
            if name.contains("layers") && tensor.shape().len() == 2 {
                for group in values.chunks_mut(32) {
                    let step = group.iter().fold(0f32, |most, x| most.max(x.abs())) / 7.0;
                    group.iter_mut().for_each(|x| *x = (*x / step.max(1e-12)).round() * step);
                }
            }
            let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            (name, tensor.shape().to_vec(), bytes)
        })
        .collect();
    let views = rounded.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}
