"""Steps that change certificates while a run goes on: renewal, rotation of the CA, what they need and did."""
