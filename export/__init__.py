"""PyTorch side of edge_vqa: data, models, training, evaluation, quantization and export. Run from a checkout."""
