"""From a camera's photo to the model's pixels: time, memory, quality and accuracy, side by side."""
