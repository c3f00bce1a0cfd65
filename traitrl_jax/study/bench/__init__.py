"""What `traitrl bench` times: a PPO step (ppo), one update of any size (update), the rubric head (grading)."""
