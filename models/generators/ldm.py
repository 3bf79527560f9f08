"""wip"""
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, LDMPipeline
from assets.progress import counter
from models.generators.training import Average, Batches, initialised_from, one_cycle
from models.generators.autoencoder import blocks, sharp_loss, spectrum_loss
from models.generators.ddpm import train_denoiser, unet

def fit_vae(images,o,seed,device,log=None):
    b=Batches(images,seed,device)
    with initialised_from(seed,"vae"):
        vae=AutoencoderKL(latent_channels=o['latent'],sample_size=images.shape[1],scaling_factor=1.0,force_upcast=False,**blocks(o['vae_channels'])).to(device,memory_format=torch.channels_last)
    opt=torch.optim.AdamW(vae.parameters(),o['vae_lr'],betas=(0.9,0.99))
    avg=Average(vae,30); S=o['vae_steps']; run=0
    for step in range(S):
        one_cycle(opt,o['vae_lr'],step,S)
        x=b.draw(o['vae_batch'],32)
        post=vae.encode(x).latent_dist
        z=post.mean+post.std*b.normal(*post.mean.shape)
        y=vae.decode(z).sample
        loss=sharp_loss(y,x)+o.get('spec',1.0)*spectrum_loss(y,x)+o.get('kl',1e-3)*post.kl().mean()/z[0].numel()
        opt.zero_grad(); loss.backward(); torch.nn.utils.clip_grad_norm_(vae.parameters(),1.0); opt.step(); avg.update(vae)
        run=0.95*run+0.05*loss.item() if step else loss.item()
        if log and step%50==0: log('vae',step,run,(y-x).abs().mean().item())
    return avg.model

@torch.no_grad()
def encode_all(vae,images,device):
    b=Batches(images,0,device); out=[]
    x=b.pixels.float()/127.5-1
    for x in (x,x.flip(3)):
        for c in x.split(32): out.append(vae.encode(c.contiguous(memory_format=torch.channels_last)).latent_dist.mean)
    return torch.cat(out)

def fit(images,out,o,seed,device,log=None):
    vae=fit_vae(images,o,seed,device,log)
    z=encode_all(vae,images,device)
    if log: log('latents',z.std((0,2,3)).tolist(),z.mean((0,2,3)).tolist())
    mean=z.mean((0,2,3)); std=z.std((0,2,3))
    # fold normalisation
    with torch.no_grad():
        L=len(mean)
        q=vae.quant_conv; p=vae.post_quant_conv
        p.bias += (p.weight[:,:,0,0]@mean); p.weight *= std[None,:,None,None]
        q.bias[:L] = (q.bias[:L]-mean)/std; q.weight[:L] /= std[:,None,None,None]
        q.bias[L:] -= 2*std.log()
    z=(z-mean[:,None,None])/std[:,None,None]
    b=Batches(images,seed+1,device)
    with initialised_from(seed,"ldm"):
        model=unet(z.shape[-1],o['channels'],1,o['latent'],attention=o.get('attention',False))
    model=model.to(memory_format=torch.channels_last)
    sch=DDIMScheduler(num_train_timesteps=1000,beta_schedule=o.get('beta',"scaled_linear"),beta_start=0.0015,beta_end=0.0195*2,prediction_type=o.get("pred","sample"),clip_sample=False,set_alpha_to_one=True,timestep_spacing="trailing")
    m=train_denoiser(model,sch,lambda step: z[b.integers(len(z),o['batch'])],b,o['steps'],o['lr'],o.get('span',100),"fit ldm",log)
    return LDMPipeline(vae.eval(),m.eval(),sch), z
